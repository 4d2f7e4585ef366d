//! A table as a LaTeX float with the rules of the `booktabs` package.

use super::{Kind, Shown, Table, letter};

impl Table {
    /// The float, with caption, label and notes.
    pub fn latex(&self) -> String {
        let reasons = self.reasons();
        let alignment: String = self
            .columns
            .iter()
            .map(|column| match column.kind {
                Kind::Words => 'l',
                Kind::Numbers | Kind::Intervals => 'r',
            })
            .collect();
        let head: Vec<String> = self.columns.iter().map(|column| escape(&column.name)).collect();
        let mut text = format!(
            "\\begin{{table}}\n\\centering\n\\caption{{{}}}\n\\label{{tab:{}}}\n\
             \\begin{{tabular}}{{{alignment}}}\n\\toprule\n{} \\\\\n\\midrule\n",
            escape(&self.title),
            self.id,
            head.join(" & "),
        );
        for row in &self.rows {
            let cells: Vec<String> =
                self.shown(row).map(|(_, shown)| words(shown, &reasons)).collect();
            text += &format!("{} \\\\\n", cells.join(" & "));
        }
        text += "\\bottomrule\n\\end{tabular}\n";
        let marked = reasons.iter().map(|reason| {
            format!("\\textsuperscript{{{}}} {}", letter(&reasons, reason), escape(reason))
        });
        for note in marked.chain(self.remarks().iter().map(|remark| escape(remark))) {
            text += &format!("\\par\\smallskip\\footnotesize {note}\n");
        }
        text + "\\end{table}\n"
    }
}

fn words(shown: Shown, reasons: &[String]) -> String {
    let marked = |word: &str, reason: &str| {
        format!("{word}\\textsuperscript{{{}}}", letter(reasons, reason))
    };
    match shown {
        Shown::Words(text) | Shown::Number(text) => escape(&text),
        Shown::Unresolved(reason) => marked("not resolved", &reason),
        Shown::Failed(reason) => marked("\\emph{failed}", &reason),
        Shown::Empty => String::new(),
    }
}

/// Escapes LaTeX's ten special characters, and writes those signs that old engines lack in ASCII.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' | '%' | '$' | '#' | '_' | '{' | '}' => {
                escaped.push('\\');
                escaped.push(c);
            }
            '\\' => escaped.push_str("\\textbackslash{}"),
            '~' => escaped.push_str("\\textasciitilde{}"),
            '^' => escaped.push_str("\\textasciicircum{}"),
            '<' => escaped.push_str("\\textless{}"),
            '>' => escaped.push_str("\\textgreater{}"),
            '|' => escaped.push_str("\\textbar{}"),
            '\u{2013}' => escaped.push_str("--"),
            '\u{2212}' => escaped.push_str("$-$"),
            '\u{2020}' => escaped.push_str("\\textdagger{}"),
            '\u{a0}' => escaped.push('~'),
            c if c.is_control() => escaped.push(' '),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::super::example;
    use super::escape;

    #[test]
    fn the_example_is_written_so() {
        let expected = r"\begin{table}
\centering
\caption{Signals \& votes}
\label{tab:main-result}
\begin{tabular}{lrrr}
\toprule
Method & Steps & AUC & TPR at 1 \% FPR \\
\midrule
R\&D \textless{}a\_b\textgreater{} 5\%, \$x\textbar{}y~\textdagger{} & 12,000 & .917 (.899--.935) & 12.3~\% (8.0--17.1) \\
vote &  & \emph{failed}\textsuperscript{a} & not resolved\textsuperscript{b} \\
\bottomrule
\end{tabular}
\par\smallskip\footnotesize \textsuperscript{a} solver stopped \& gave up
\par\smallskip\footnotesize \textsuperscript{b} 1 \% needs 100 non-members, 60 are at hand
\par\smallskip\footnotesize \textdagger{} Used for choosing signals or settings: what it shows flatters the method and is no evidence.
\par\smallskip\footnotesize 400 v 400 names.
\end{table}
";
        assert_eq!(example().latex(), expected);
    }

    #[test]
    fn special_characters_are_escaped() {
        assert_eq!(
            escape(r"a\b~c^d#e{f}"),
            r"a\textbackslash{}b\textasciitilde{}c\textasciicircum{}d\#e\{f\}"
        );
    }
}
