//! A table as a fragment of HTML: a caption, headings with their scope, and a container that scrolls
//! sideways where the screen is narrow.

use umid::report::escape;

use super::{Column, Kind, Shown, Table, letter};

impl Table {
    /// The table in its container, and its notes. `class`es are those of the page's style sheet.
    pub fn html(&self) -> String {
        let reasons = self.reasons();
        let id = escape(&self.id);
        let mut html = format!(
            "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-labelledby=\"{id}-caption\">\n\
             <table>\n<caption><span id=\"{id}-caption\">{}</span></caption>\n<thead><tr>",
            escape(&self.title)
        );
        for column in &self.columns {
            html += &format!("<th scope=\"col\"{}>{}</th>", class(column), escape(&column.name));
        }
        html += "</tr></thead>\n<tbody>\n";
        for row in &self.rows {
            html += "<tr>";
            for (i, (column, shown)) in self.shown(row).enumerate() {
                let content = content(shown, &reasons);
                html += &if i == 0 {
                    format!("<th scope=\"row\"{}>{content}</th>", class(column))
                } else {
                    format!("<td{}>{content}</td>", class(column))
                };
            }
            html += "</tr>\n";
        }
        html += "</tbody>\n</table>\n</div>\n";
        let remarks = self.remarks();
        if reasons.is_empty() && remarks.is_empty() {
            return html;
        }
        html += "<ul class=\"notes\">\n";
        for reason in &reasons {
            let letter = letter(&reasons, reason);
            html += &format!("<li><sup>{letter}</sup> {}</li>\n", escape(reason));
        }
        for remark in remarks {
            html += &format!("<li>{}</li>\n", escape(&remark));
        }
        html + "</ul>\n"
    }
}

fn class(column: &Column) -> &'static str {
    match column.kind {
        Kind::Words => "",
        Kind::Numbers | Kind::Intervals => " class=\"number\"",
    }
}

fn content(shown: Shown, reasons: &[String]) -> String {
    let marked = |class: &str, word: &str, reason: &str| {
        let letter = letter(reasons, reason);
        format!("<span class=\"{class}\">{word}<sup>{letter}</sup></span>")
    };
    match shown {
        Shown::Words(text) | Shown::Number(text) => escape(&text),
        Shown::Unresolved(reason) => marked("unresolved", "not resolved", &reason),
        Shown::Failed(reason) => marked("failed", "failed", &reason),
        Shown::Empty => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::example;

    #[test]
    fn the_example_is_written_so() {
        let expected = "\
<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-labelledby=\"main-result-caption\">
<table>
<caption><span id=\"main-result-caption\">Signals &amp; votes</span></caption>
<thead><tr><th scope=\"col\">Method</th><th scope=\"col\" class=\"number\">Steps</th><th scope=\"col\" class=\"number\">AUC</th><th scope=\"col\" class=\"number\">TPR at 1 % FPR</th></tr></thead>
<tbody>
<tr><th scope=\"row\">R&amp;D &lt;a_b&gt; 5%, $x|y\u{a0}\u{2020}</th><td class=\"number\">12,000</td><td class=\"number\">.917 (.899\u{2013}.935)</td><td class=\"number\">12.3\u{a0}% (8.0\u{2013}17.1)</td></tr>
<tr><th scope=\"row\">vote</th><td class=\"number\"></td><td class=\"number\"><span class=\"failed\">failed<sup>a</sup></span></td><td class=\"number\"><span class=\"unresolved\">not resolved<sup>b</sup></span></td></tr>
</tbody>
</table>
</div>
<ul class=\"notes\">
<li><sup>a</sup> solver stopped &amp; gave up</li>
<li><sup>b</sup> 1 % needs 100 non-members, 60 are at hand</li>
<li>\u{2020} Used for choosing signals or settings: what it shows flatters the method and is no evidence.</li>
<li>400 v 400 names.</li>
</ul>
";
        assert_eq!(example().html(), expected);
    }
}
