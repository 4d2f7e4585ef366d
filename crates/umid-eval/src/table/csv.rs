//! A table as CSV: numbers to the last digit, with the ends of an interval in columns of their own.
//! Shares are fractions of 1. A cell without a value is empty, and the last column says why.

use std::iter::once;

use super::{Cell, Kind, Row, Shown, Standing, Table};

impl Table {
    /// The rows, under the columns' names; then whether a row was used for choosing, and remarks.
    ///
    /// # Errors
    /// When a record cannot be written; in memory, none fails.
    pub fn csv(&self) -> crate::Result<String> {
        let mut writer = ::csv::Writer::from_writer(Vec::new());
        let head = self.columns.iter().flat_map(|column| match column.kind {
            Kind::Words | Kind::Numbers => vec![column.name.clone()],
            Kind::Intervals => {
                let name = &column.name;
                vec![name.clone(), format!("{name}, low"), format!("{name}, high")]
            }
        });
        let last = ["used for choosing", "remarks"].map(str::to_owned);
        writer.write_record(head.chain(last))?;
        for row in &self.rows {
            writer.write_record(self.fields(row))?;
        }
        let bytes = writer.into_inner().map_err(|error| ::csv::Error::from(error.into_error()))?;
        Ok(String::from_utf8(bytes).expect("every field is UTF-8"))
    }

    fn fields(&self, row: &Row) -> Vec<String> {
        let mut remarks = Vec::new();
        let mut fields = Vec::new();
        for (i, column) in self.columns.iter().enumerate() {
            let cell = row.cells.get(i).unwrap_or(&Cell::Empty);
            match cell.shown() {
                Shown::Unresolved(why) => {
                    remarks.push(format!("{}: not resolved: {why}", column.name));
                }
                Shown::Failed(why) => remarks.push(format!("{}: failed: {why}", column.name)),
                Shown::Words(_) | Shown::Number(_) | Shown::Empty => {}
            }
            fields.extend(fields_of(cell, column.kind));
        }
        let chosen = match row.standing {
            Standing::Evidence => "no",
            Standing::UsedForChoosing => "yes",
        };
        fields.into_iter().chain(once(chosen.to_owned())).chain(once(remarks.join("; "))).collect()
    }
}

/// As many fields as the column has.
fn fields_of(cell: &Cell, kind: Kind) -> Vec<String> {
    let estimate = match (cell, cell.values()) {
        (Cell::Text(text), _) => text.clone(),
        (_, Some(values)) => values.estimate.to_string(),
        (_, None) => String::new(),
    };
    match kind {
        Kind::Words | Kind::Numbers => vec![estimate],
        Kind::Intervals => {
            // A single number has no ends, and giving it some would claim that it is exact.
            let has_ends = !matches!(cell, Cell::Count(_) | Cell::Number { .. });
            let ends = cell.values().filter(|_| has_ends);
            let end = |end: Option<f64>| end.map_or(String::new(), |end| end.to_string());
            vec![estimate, end(ends.map(|v| v.low)), end(ends.map(|v| v.high))]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::example;

    #[test]
    fn the_example_is_written_so() {
        let expected = "\
Method,Steps,AUC,\"AUC, low\",\"AUC, high\",TPR at 1 % FPR,\"TPR at 1 % FPR, low\",\"TPR at 1 % FPR, high\",used for choosing,remarks
\"R&D <a_b> 5%, $x|y\",12000,0.9172,0.8991,0.9349,0.123,0.08,0.1705,yes,
vote,,,,,,,,no,\"AUC: failed: solver stopped & gave up; TPR at 1 % FPR: not resolved: 1 % needs 100 non-members, 60 are at hand\"
";
        assert_eq!(example().csv().expect("written to memory"), expected);
    }
}
