//! The table that people read.

use std::fmt::Write;

use super::{Rate, Report, Row};

/// A report as Markdown.
pub fn table(report: &Report) -> String {
    let mut text = String::new();
    let _ = writeln!(text, "Device {}, {} cores.\n", report.device, report.cores);
    text.push_str("| product of 2048 x 2048 | Gop/s | spread |\n| --- | ---: | ---: |\n");
    for rate in &report.rates {
        let _ = writeln!(
            text,
            "| {} | {:.0} | {:.0} to {:.0} |",
            rate.contender,
            median(&rate.rates) / 1e9,
            least(&rate.rates) / 1e9,
            most(&rate.rates) / 1e9
        );
    }
    text.push_str(
        "\n| model | batch | contender | ms per step | spread | starts x steps per second | against \
         PyTorch f32 | of the floor | peak MiB |\n\
         | --- | ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: |\n",
    );
    for row in &report.rows {
        let seconds = median(&row.seconds);
        let eager = report.rows.iter().find(|other| {
            other.model == row.model && other.batch == row.batch && other.contender == "PyTorch f32"
        });
        let against = eager
            .map_or("-".to_owned(), |eager| format!("{:.2}", median(&eager.seconds) / seconds));
        let of_floor = floor(row, &report.rates)
            .map_or("-".to_owned(), |floor| format!("{:.0} %", 100.0 * floor / seconds));
        let memory = row.memory.map_or("-".to_owned(), |mebibytes| format!("{mebibytes:.0}"));
        let _ = writeln!(
            text,
            "| {} | {} | {} | {:.1} | {:.1} to {:.1} | {:.1} | {against} | {of_floor} | {memory} |",
            row.model,
            row.batch,
            row.contender,
            1e3 * seconds,
            1e3 * least(&row.seconds),
            1e3 * most(&row.seconds),
            row.batch as f64 / seconds,
        );
    }
    text.push_str(
        "\nMedians; the spread is least to most. Against PyTorch: its eager f32 time over this \
         one, higher is faster. The floor: operations of the tower's matrix products, forward and \
         backward to the input, over the best rate measured above in the same precision.\n",
    );
    text
}

/// Seconds that the products of a step would take at the best measured rate.
fn floor(row: &Row, rates: &[Rate]) -> Option<f64> {
    let rates = rates.iter().filter(|rate| rate.precision == row.precision);
    let best = rates.map(|rate| median(&rate.rates)).max_by(f64::total_cmp)?;
    Some(row.operations / best)
}

pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 {
        sorted[middle]
    } else {
        f64::midpoint(sorted[middle - 1], sorted[middle])
    }
}

pub fn least(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::INFINITY, f64::min)
}

pub fn most(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::NEG_INFINITY, f64::max)
}

#[cfg(test)]
mod tests {
    use umid_models::Precision;

    use super::*;

    #[test]
    fn ratios_are_to_eager_f32_and_to_the_best_rate_of_the_precision() {
        let rate = |contender: &str, precision, rate: f64| Rate {
            contender: contender.to_owned(),
            precision,
            rates: vec![rate; 3],
        };
        let row = |contender: &str, seconds: f64| Row {
            model: "ViT",
            batch: 8,
            contender: contender.to_owned(),
            precision: Precision::F32,
            seconds: vec![seconds, 9.0 * seconds, seconds],
            operations: 50e9,
            memory: None,
        };
        let report = Report {
            device: "cpu".to_owned(),
            cores: 2,
            rates: vec![
                rate("umid f32", Precision::F32, 100e9),
                rate("PyTorch f32", Precision::F32, 50e9),
                rate("PyTorch bf16", Precision::Bf16, 900e9),
            ],
            rows: vec![row("umid f32", 1.0), row("PyTorch f32", 2.0)],
        };
        let table = table(&report);
        assert!(table.contains("| umid f32 | 1000.0 | 1000.0 to 9000.0 | 8.0 | 2.00 | 50 % |"));
        assert!(table.contains("| PyTorch f32 | 2000.0 | 2000.0 to 18000.0 | 4.0 | 1.00 | 25 % |"));
    }
}
