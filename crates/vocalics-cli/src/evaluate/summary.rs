//! A report for a terminal.

use vocalics_eval::{Report, SPEAKERS_SHARED};

use crate::table::Table;

/// The headline with its provenance, then tables by fold, class and speaker group; each names its
/// provenance, and where speakers are shared every row says so.
pub(crate) fn summary(report: &Report) -> String {
    let metrics = &report.metrics;
    let note = if report.provenance.speakers_shared {
        SPEAKERS_SHARED
    } else {
        ""
    };
    let percent = |value: f64| format!("{:.1}", 100.0 * value);
    let optional = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), percent);
    let title = |what: &str| format!("\n{what} — {}\n", report.provenance);

    let mut text = report.headline().join("\n");
    text.push('\n');

    let mut table = Table::new(&["fold", "clips", "UAR %", "WAR %"]);
    for fold in &metrics.per_fold {
        table.row(vec![
            fold.fold.clone(),
            fold.n.to_string(),
            percent(fold.uar),
            percent(fold.war),
        ]);
    }
    text += &title("by fold");
    text += &table.render(note);

    let mut head = vec!["class", "clips", "recall %", "precision %", "F1 %"];
    let heard: Vec<String> = metrics
        .labels
        .iter()
        .map(|label| format!("→ {label}"))
        .collect();
    head.extend(heard.iter().map(String::as_str));
    let mut table = Table::new(&head);
    for (class, counts) in metrics.per_class.iter().zip(&metrics.confusion) {
        let mut row = vec![
            class.label.clone(),
            class.support.to_string(),
            optional(class.recall),
            optional(class.precision),
            optional(class.f1),
        ];
        row.extend(counts.iter().map(u64::to_string));
        table.row(row);
    }
    text += &title("by class, and what its clips were taken for");
    text += &table.render(note);

    let groups: Vec<_> = metrics
        .per_sex
        .iter()
        .chain(&metrics.per_intensity)
        .collect();
    if !groups.is_empty() {
        let mut table = Table::new(&["group", "clips", "classes", "UAR %", "WAR %"]);
        for group in groups {
            table.row(vec![
                group.group.clone(),
                group.n.to_string(),
                group.classes.to_string(),
                percent(group.uar),
                percent(group.war),
            ]);
        }
        text += &title("by sex and intensity");
        text += &table.render(note);
    }

    let mut table = Table::new(&["calibration", ""]);
    for (name, value) in [
        ("expected calibration error", format!("{:.3}", metrics.ece)),
        ("Brier score", format!("{:.3}", metrics.brier)),
        (
            "negative log-likelihood, nats",
            format!("{:.3}", metrics.nll),
        ),
        (
            "accuracy on the surest 80 %",
            percent(metrics.accuracy_at_80) + " %",
        ),
        (
            "accuracy on the surest 50 %",
            percent(metrics.accuracy_at_50) + " %",
        ),
    ] {
        table.row(vec![name.to_owned(), value]);
    }
    text += &title("how far the scores can be trusted");
    text += &table.render(note);
    text
}
