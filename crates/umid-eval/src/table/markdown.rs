//! A table as Markdown that is also legible as plain text: its columns are aligned.

use super::{Column, Kind, Shown, Table, letter};

impl Table {
    /// Title, question, plain words, table and notes.
    pub fn markdown(&self) -> String {
        let reasons = self.reasons();
        let mut text = format!("### {}\n\n", escape(&self.title));
        if !self.question.is_empty() {
            text += &format!("*{}*\n\n", escape(&self.question));
        }
        if !self.plain.is_empty() {
            text += &format!("{}\n\n", escape(&self.plain));
        }
        text += &self.grid(&reasons);
        let remarks = self.remarks();
        if !reasons.is_empty() || !remarks.is_empty() {
            text.push('\n');
        }
        for reason in &reasons {
            text += &format!("- [{}] {}\n", letter(&reasons, reason), escape(reason));
        }
        for remark in remarks {
            text += &format!("- {}\n", escape(&remark));
        }
        text
    }

    fn grid(&self, reasons: &[String]) -> String {
        let head: Vec<String> = self.columns.iter().map(|column| escape(&column.name)).collect();
        let body: Vec<Vec<String>> = self
            .rows
            .iter()
            .map(|row| self.shown(row).map(|(_, shown)| words(shown, reasons)).collect())
            .collect();
        // Three are the fewest that a rule with its alignment can have.
        let width = |i: usize| {
            let cells = body.iter().map(|row: &Vec<String>| &row[i]).chain([&head[i]]);
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0).max(3)
        };
        let widths: Vec<usize> = (0..head.len()).map(width).collect();
        let line = |cells: &[String]| {
            let padded = cells.iter().zip(&widths).zip(&self.columns);
            let padded = padded.map(|((cell, width), column)| pad(cell, *width, column));
            format!("| {} |\n", padded.collect::<Vec<_>>().join(" | "))
        };
        let rules: Vec<String> =
            self.columns.iter().zip(&widths).map(|(column, &width)| rule(column, width)).collect();
        let body: String = body.iter().map(|row| line(row)).collect();
        format!("{}| {} |\n{body}", line(&head), rules.join(" | "))
    }
}

fn words(shown: Shown, reasons: &[String]) -> String {
    match shown {
        Shown::Words(text) | Shown::Number(text) => escape(&text),
        Shown::Unresolved(reason) => format!("not resolved [{}]", letter(reasons, &reason)),
        Shown::Failed(reason) => format!("**failed** [{}]", letter(reasons, &reason)),
        Shown::Empty => String::new(),
    }
}

fn pad(cell: &str, width: usize, column: &Column) -> String {
    match column.kind {
        Kind::Words => format!("{cell:<width$}"),
        Kind::Numbers | Kind::Intervals => format!("{cell:>width$}"),
    }
}

fn rule(column: &Column, width: usize) -> String {
    match column.kind {
        Kind::Words => "-".repeat(width),
        Kind::Numbers | Kind::Intervals => format!("{}:", "-".repeat(width - 1)),
    }
}

/// Escapes what Markdown, its HTML and its formulas would read as markup.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '$' | '~' => {
                escaped.push('\\');
                escaped.push(c);
            }
            c if c.is_control() => escaped.push(' '),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::super::{Column, Table, example};

    #[test]
    fn the_example_is_written_so() {
        let expected = "\
### Signals &amp; votes

*Does it find members?*

Half is chance; &lt;1&gt; is perfect.

| Method                            |  Steps |              AUC |    TPR at 1 % FPR |
| --------------------------------- | -----: | ---------------: | ----------------: |
| R&amp;D &lt;a\\_b&gt; 5%, \\$x\\|y\u{a0}\u{2020} | 12,000 | .917 (.899\u{2013}.935) | 12.3\u{a0}% (8.0\u{2013}17.1) |
| vote                              |        |   **failed** [a] |  not resolved [b] |

- [a] solver stopped &amp; gave up
- [b] 1 % needs 100 non-members, 60 are at hand
- \u{2020} Used for choosing signals or settings: what it shows flatters the method and is no evidence.
- 400 v 400 names.
";
        assert_eq!(example().markdown(), expected);
    }

    #[test]
    fn a_table_without_rows_and_words_is_its_head() {
        let table = Table::new("t", "T", vec![Column::words("A"), Column::numbers("B")]);
        assert_eq!(table.markdown(), "### T\n\n| A   |   B |\n| --- | --: |\n");
    }
}
