//! All results as one HTML page, complete in itself: tables, figures and what they say in plain
//! words. What failed is listed at the top as well as in its place.

#![expect(
    clippy::format_collect,
    reason = "a page is written once; `map` and `collect` read better than a loop of `write!`"
)]

use serde::Serialize;
use umid::report::{BASE_STYLE, escape};

use super::figure::Figure;
use super::table::{Gaps, Table};

/// A page of results.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Page {
    /// Heading of the page.
    pub title: String,
    /// The answer in a sentence or two.
    pub outcome: String,
    /// What was run: names and values, such as the version and the targets.
    pub facts: Vec<(String, String)>,
    /// What a reader must know before believing a number.
    pub warnings: Vec<String>,
    /// The sections, in order.
    pub sections: Vec<Section>,
}

/// A section of a page.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Section {
    /// Anchor: lower-case letters, digits and hyphens; unique in the page.
    pub id: String,
    /// Heading.
    pub title: String,
    /// What it says in plain words, a paragraph each.
    pub plain: Vec<String>,
    /// What it shows.
    pub parts: Vec<Part>,
    /// Remarks at its end.
    pub notes: Vec<String>,
}

/// Something shown in a section.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum Part {
    /// A table with its question and its plain words.
    Table(Table),
    /// A figure with its title and its description.
    Figure(Figure),
    /// A warning that belongs here.
    Warning(String),
}

impl Page {
    /// The page.
    pub fn html(&self) -> String {
        let title = escape(&self.title);
        let contents: String = self
            .sections
            .iter()
            .map(|s| format!("<li><a href=\"#{}\">{}</a></li>\n", escape(&s.id), escape(&s.title)))
            .collect();
        let sections: String = self.sections.iter().map(Section::html).collect();
        format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n\
             <meta name=\"referrer\" content=\"no-referrer\">\n\
             <title>{title}</title>\n<style>\n{BASE_STYLE}{}</style>\n</head>\n<body>\n\
             <a class=\"skip\" href=\"#results\">Skip to the results</a>\n\
             <header>\n<p class=\"instrument\">umid<span>evaluation</span></p>\n<h1>{title}</h1>\n\
             <p class=\"outcome\">{}</p>\n{}</header>\n{}\
             <nav aria-label=\"Contents\">\n<h2>Contents</h2>\n<ol>\n{contents}</ol>\n</nav>\n\
             <main id=\"results\">\n{sections}</main>\n\
             <footer><p>Every interval is of 95&nbsp;%. This file is complete in itself and opens no \
             connection.</p></footer>\n</body>\n</html>\n",
            include_str!("page.css"),
            escape(&self.outcome),
            self.facts(),
            self.warnings(),
        )
    }

    fn facts(&self) -> String {
        if self.facts.is_empty() {
            return String::new();
        }
        let fact = |(name, value): &(String, String)| {
            format!("<div><dt>{}</dt><dd>{}</dd></div>\n", escape(name), escape(value))
        };
        format!("<dl class=\"facts\">\n{}</dl>\n", self.facts.iter().map(fact).collect::<String>())
    }

    /// The page's own warnings and a count of what has no value, with a link to each table.
    fn warnings(&self) -> String {
        let own = self.warnings.iter().map(|warning| format!("<li>{}</li>\n", escape(warning)));
        let tables = self.sections.iter().flat_map(|s| &s.parts).filter_map(|part| match part {
            Part::Table(table) => Some(table),
            Part::Figure(_) | Part::Warning(_) => None,
        });
        let with_gaps = tables.filter(|table| table.gaps() != Gaps::default()).map(|table| {
            format!(
                "<li><a href=\"#{}\">{}</a>: {}.</li>\n",
                escape(&table.id),
                escape(&table.title),
                in_words(table.gaps())
            )
        });
        let items: String = own.chain(with_gaps).collect();
        if items.is_empty() {
            return String::new();
        }
        format!(
            "<section class=\"warnings\" aria-labelledby=\"h-warnings\">\n\
             <h2 id=\"h-warnings\">Before you read on</h2>\n<ul>\n{items}</ul>\n</section>\n"
        )
    }
}

impl Section {
    fn html(&self) -> String {
        let id = escape(&self.id);
        let parts: String = self.parts.iter().map(Part::html).collect();
        let notes: String =
            self.notes.iter().map(|note| format!("<li>{}</li>\n", escape(note))).collect();
        let notes =
            if notes.is_empty() { notes } else { format!("<ul class=\"notes\">\n{notes}</ul>\n") };
        format!(
            "<section id=\"{id}\" aria-labelledby=\"h-{id}\">\n<h2 id=\"h-{id}\">{}</h2>\n\
             {}{parts}{notes}</section>\n",
            escape(&self.title),
            paragraphs("plain", &self.plain),
        )
    }
}

impl Part {
    fn html(&self) -> String {
        match self {
            Self::Table(table) => format!(
                "<div class=\"table\" id=\"{}\">\n{}{}{}</div>\n",
                escape(&table.id),
                paragraphs("question", std::slice::from_ref(&table.question)),
                paragraphs("plain", std::slice::from_ref(&table.plain)),
                table.html(),
            ),
            Self::Figure(figure) => format!(
                "<figure id=\"{}\">\n<h3>{}</h3>\n<div class=\"sheet\">\n{}</div>\n\
                 <figcaption>{}</figcaption>\n</figure>\n",
                escape(&figure.id),
                escape(&figure.title),
                figure.svg,
                escape(&figure.description),
            ),
            Self::Warning(warning) => format!("<p class=\"warning\">{}</p>\n", escape(warning)),
        }
    }
}

fn paragraphs(class: &str, texts: &[String]) -> String {
    let filled = texts.iter().filter(|text| !text.is_empty());
    filled.map(|text| format!("<p class=\"{class}\">{}</p>\n", escape(text))).collect()
}

/// `2 values failed and 1 is not resolved by the sample`.
fn in_words(gaps: Gaps) -> String {
    let count = |n: usize, one: &str, many: &str, what: &str| {
        (n > 0).then(|| format!("{n} {} {what}", if n == 1 { one } else { many }))
    };
    let failed = count(gaps.failed, "value", "values", "failed");
    let unresolved = count(gaps.unresolved, "value is", "values are", "not resolved by the sample");
    failed.into_iter().chain(unresolved).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::super::figure::{Forest, Label};
    use super::super::table::{Cell, Column, Standing};
    use super::*;

    fn page() -> Page {
        let columns = vec![Column::words("Method"), Column::intervals("AUC")];
        let mut table = Table::new("areas", "Areas & votes", columns);
        table.question = "Q?".to_owned();
        table.push(
            Standing::Evidence,
            vec![Cell::text("<svm>"), Cell::Failed("diverged".to_owned())],
        );
        let label = Label::new("fig-areas", "Areas", "A < B");
        let forest = Forest { label, axis: "AUC".to_owned(), items: Vec::new() };
        let figure = forest.draw();
        Page {
            title: "Results <1>".to_owned(),
            outcome: "It works & fails.".to_owned(),
            facts: vec![("targets".to_owned(), "3".to_owned())],
            warnings: Vec::new(),
            sections: vec![Section {
                id: "main".to_owned(),
                title: "Main".to_owned(),
                plain: vec!["One.".to_owned(), "Two.".to_owned()],
                parts: vec![
                    Part::Figure(figure),
                    Part::Table(table),
                    Part::Warning("few names".to_owned()),
                ],
                notes: vec!["Note.".to_owned()],
            }],
        }
    }

    #[test]
    fn the_page_is_complete_in_itself() {
        let html = page().html();
        for outside in ["src=", "@import", "url(", "<script", "<link"] {
            assert!(!html.contains(outside), "{outside}");
        }
        assert!(!html.replace("http://www.w3.org/2000/svg", "").contains("http"));
    }

    #[test]
    fn a_failed_cell_is_announced_at_the_top() {
        let html = page().html();
        let top = html.split("<main").next().expect("a page has a top");
        assert!(top.contains("<a href=\"#areas\">Areas &amp; votes</a>: 1 value failed."), "{top}");
    }

    #[test]
    fn every_link_has_its_anchor_and_no_anchor_is_used_twice() {
        let html = page().html();
        for link in html.split("href=\"#").skip(1) {
            let target = link.split('"').next().expect("a quoted link");
            assert_eq!(html.matches(&format!(" id=\"{target}\"")).count(), 1, "{target}");
        }
    }

    #[test]
    fn texts_are_escaped() {
        let html = page().html();
        assert!(html.contains("<title>Results &lt;1&gt;</title>"));
        assert!(html.contains("It works &amp; fails.") && !html.contains("<svm>"));
    }

    #[test]
    fn gaps_are_counted_in_words() {
        let words = |failed, unresolved| in_words(Gaps { failed, unresolved });
        assert_eq!(words(2, 1), "2 values failed, 1 value is not resolved by the sample");
        assert_eq!(words(0, 3), "3 values are not resolved by the sample");
    }
}
