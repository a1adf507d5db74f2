//! The report as one HTML file.
//!
//! It loads nothing: styles and figures are inside, scripts there are none, and a content security policy
//! says so to the browser. Every table names its provenance; where the protocol shares speakers between
//! training and test, every row with a number says that itself.

use std::fmt::Write;
use std::path::Path;

use crate::plot::{self, escape};
use crate::report::{SPEAKERS_SHARED, bracket, percent};
use crate::{EvalError, GroupMetrics, HistoryRow, Report, file};

const STYLE: &str = "\
:root{color-scheme:light}\
body{font:15px/1.5 system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',sans-serif;color:#222;\
background:#fff;max-width:1000px;margin:0 auto;padding:24px 20px 64px}\
h1{font-size:1.7em;margin:0 0 .2em}h2{font-size:1.2em;margin:2em 0 .5em;border-bottom:1px solid #ddd;\
padding-bottom:.2em}\
.where{color:#444;margin:0 0 1em}\
.shared{background:#fff4e0;border-left:5px solid #d55e00;padding:8px 12px;margin:0 0 1em}\
.wide{overflow-x:auto}\
table{border-collapse:collapse;font-variant-numeric:tabular-nums;margin:.3em 0 1em}\
caption{caption-side:bottom;text-align:left;color:#666;font-size:.85em;padding-top:.4em}\
th,td{padding:4px 12px 4px 0;text-align:right;border-bottom:1px solid #e6e6e6;vertical-align:top}\
th:first-child,td:first-child{text-align:left}\
th{font-weight:600;border-bottom:2px solid #999}\
td.note,th.note{text-align:left;padding-left:12px;color:#555;font-size:.9em}\
tr.headline td{font-weight:700}\
figure{margin:0 0 1.5em}figure svg{max-width:100%;height:auto;border:1px solid #e6e6e6}\
dl{display:grid;grid-template-columns:max-content 1fr;gap:2px 16px;margin:0}\
dt{font-weight:600}dd{margin:0;overflow-wrap:anywhere}\
.columns{display:flex;flex-wrap:wrap;gap:0 48px}\
@media print{body{max-width:none;padding:0}h2{break-after:avoid}figure,tr{break-inside:avoid}}";

/// What a page says beside the numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// Heading and title of the page, e.g. the name of the run.
    pub title: String,
    /// Named facts about the run (`("git revision", "3f2c...")`), shown in this order.
    pub facts: Vec<(String, String)>,
}

/// Renders a report as one self-contained HTML document. `history` may be empty.
///
/// # Errors
/// A history no curve can be drawn of.
pub fn render(report: &Report, history: &[HistoryRow], page: &Page) -> Result<String, EvalError> {
    let title = escape(&page.title);
    let provenance = escape(&report.provenance.to_string());
    let mut body = format!("<h1>{title}</h1>\n<p class=\"where\">Measured on {provenance}.</p>\n");
    if report.provenance.speakers_shared {
        let _ = writeln!(
            body,
            "<p class=\"shared\"><strong>In this protocol speakers are shared between train and \
             test.</strong> The model has heard the voices it is tested on: the numbers say how well \
             it does on known voices, not on new ones.</p>"
        );
    }
    headline(&mut body, report);
    classes(&mut body, report);
    for figure in [
        plot::confusion(report),
        plot::recall_bars(report),
        plot::reliability(report),
    ] {
        let _ = writeln!(body, "<figure>{}</figure>", figure.to_svg());
    }
    if let Some(calibrated) = &report.speaker_calibrated {
        let curve = plot::speaker_curve(report, calibrated);
        let _ = writeln!(body, "<figure>{}</figure>", curve.to_svg());
    }
    if !history.is_empty() {
        let curves = plot::learning_curves(history, &report.provenance)?;
        let _ = writeln!(
            body,
            "<h2>Training</h2>\n<figure>{}</figure>",
            curves.to_svg()
        );
    }
    groups(&mut body, report);
    if !page.facts.is_empty() {
        body.push_str("<h2>Run</h2>\n<dl>\n");
        for (name, value) in &page.facts {
            let _ = writeln!(body, "<dt>{}</dt><dd>{}</dd>", escape(name), escape(value));
        }
        body.push_str("</dl>\n");
    }
    body.push_str(DEFINITIONS);
    Ok(format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; \
         style-src 'unsafe-inline'\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n{body}</body>\n</html>\n"
    ))
}

/// Writes [`render`] to `path`, atomically.
///
/// # Errors
/// As [`render`], or a file that cannot be written.
pub fn write(
    path: &Path,
    report: &Report,
    history: &[HistoryRow],
    page: &Page,
) -> Result<(), EvalError> {
    file::write_atomic(path, render(report, history, page)?.as_bytes())
}

/// One table: names of the columns, rows of cells, and where the numbers come from.
struct Table<'a> {
    report: &'a Report,
    html: String,
}

impl<'a> Table<'a> {
    fn new(report: &'a Report, columns: &[&str]) -> Self {
        let mut html = String::from("<div class=\"wide\"><table>\n<thead><tr>");
        for column in columns {
            let _ = write!(html, "<th scope=\"col\">{}</th>", escape(column));
        }
        if report.provenance.speakers_shared {
            html.push_str("<th scope=\"col\" class=\"note\">protocol</th>");
        }
        html.push_str("</tr></thead>\n<tbody>\n");
        Self { report, html }
    }

    fn row(&mut self, class: &str, cells: &[String]) {
        let _ = write!(self.html, "<tr class=\"{class}\">");
        for cell in cells {
            let _ = write!(self.html, "<td>{}</td>", escape(cell));
        }
        if self.report.provenance.speakers_shared {
            let protocol = escape(&self.report.provenance.protocol);
            let _ = write!(
                self.html,
                "<td class=\"note\">{protocol}, {SPEAKERS_SHARED}</td>"
            );
        }
        self.html.push_str("</tr>\n");
    }

    fn finish(mut self, note: &str) -> String {
        let provenance = escape(&self.report.provenance.to_string());
        let _ = writeln!(
            self.html,
            "</tbody>\n<caption>{note}Measured on {provenance}.</caption>\n</table></div>"
        );
        self.html
    }
}

fn headline(body: &mut String, report: &Report) {
    let metrics = &report.metrics;
    let mut table = Table::new(report, &["measure", "value", "95 % interval or spread"]);
    let mut line = |class: &str, name: &str, value: String, interval: String| {
        table.row(class, &[name.to_owned(), value, interval.trim().to_owned()]);
    };
    let rate = |value: f64| format!("{} %", percent(value));
    let spread = |std: Option<f64>| {
        std.map_or_else(String::new, |std| {
            format!("± {} (sd over folds)", percent(std))
        })
    };
    line(
        "headline",
        "UAR, pooled",
        rate(metrics.uar),
        bracket(report.uar_interval),
    );
    line(
        "",
        "UAR, mean of folds",
        rate(metrics.mean_fold_uar),
        spread(metrics.std_fold_uar),
    );
    line(
        "",
        "WAR (accuracy), pooled",
        rate(metrics.war),
        bracket(report.war_interval),
    );
    line(
        "",
        "WAR, mean of folds",
        rate(metrics.mean_fold_war),
        spread(metrics.std_fold_war),
    );
    line(
        "",
        "macro-F1, pooled",
        rate(metrics.macro_f1),
        bracket(report.macro_f1_interval),
    );
    line(
        "",
        "accuracy at 80 % coverage",
        rate(metrics.accuracy_at_80),
        String::new(),
    );
    line(
        "",
        "accuracy at 50 % coverage",
        rate(metrics.accuracy_at_50),
        String::new(),
    );
    line(
        "",
        "ECE (15 bins)",
        format!("{:.3}", metrics.ece),
        String::new(),
    );
    line(
        "",
        "Brier (0 to 2)",
        format!("{:.3}", metrics.brier),
        String::new(),
    );
    line(
        "",
        "NLL (nats)",
        format!("{:.3}", metrics.nll),
        String::new(),
    );
    if let Some(after) = &report.speaker_calibrated {
        line(
            "",
            &format!("UAR, pooled, speaker-calibrated with {}", after.audio()),
            rate(after.uar),
            bracket(after.uar_interval),
        );
    }
    let clips = format!(
        "{} clips of {} speakers. {}",
        metrics.n,
        metrics.speakers,
        if report.uar_interval.is_some() {
            "Intervals: percentile bootstrap over speakers. "
        } else {
            "No intervals: they need at least two speakers. "
        }
    );
    let _ = writeln!(body, "<h2>Result</h2>\n{}", table.finish(&clips));
}

fn classes(body: &mut String, report: &Report) {
    let columns = [
        "class",
        "clips",
        "recall %",
        "95 % interval",
        "precision %",
        "F1 %",
    ];
    let mut table = Table::new(report, &columns);
    let rate = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), percent);
    for (index, class) in report.metrics.per_class.iter().enumerate() {
        let interval = report.recall_intervals.get(index).copied().flatten();
        let cells = [
            class.label.clone(),
            class.support.to_string(),
            rate(class.recall),
            bracket(interval).trim().to_owned(),
            rate(class.precision),
            rate(class.f1),
        ];
        table.row("", &cells);
    }
    let _ = writeln!(body, "<h2>Classes</h2>\n{}", table.finish(""));
}

fn groups(body: &mut String, report: &Report) {
    let metrics = &report.metrics;
    let folds: Vec<GroupMetrics> = metrics
        .per_fold
        .iter()
        .map(|fold| GroupMetrics {
            group: fold.fold.clone(),
            n: fold.n,
            uar: fold.uar,
            war: fold.war,
            classes: 0,
        })
        .collect();
    body.push_str("<h2>Groups</h2>\n<div class=\"columns\">\n");
    let parts = [
        ("fold", &folds),
        ("sex", &metrics.per_sex),
        ("intensity", &metrics.per_intensity),
        ("speaker", &metrics.per_speaker),
    ];
    for (name, groups) in parts {
        if groups.is_empty() {
            continue;
        }
        // Folds are meant to hold every class; in other groups a UAR is read with their number.
        let counted = name != "fold";
        let mut columns = vec![name, "clips", "UAR %", "WAR %"];
        if counted {
            columns.push("classes");
        }
        let mut table = Table::new(report, &columns);
        for group in groups {
            let mut cells = vec![
                group.group.clone(),
                group.n.to_string(),
                percent(group.uar),
                percent(group.war),
            ];
            if counted {
                cells.push(group.classes.to_string());
            }
            table.row("", &cells);
        }
        let _ = writeln!(body, "<section>{}</section>", table.finish(""));
    }
    body.push_str("</div>\n");
}

const DEFINITIONS: &str = "\
<h2>How to read this</h2>
<dl>
<dt>UAR</dt><dd>mean recall of the classes, each counting the same however many clips it has</dd>
<dt>WAR</dt><dd>share of clips labelled right (accuracy)</dd>
<dt>pooled</dt><dd>over the test clips of all folds together; the mean of folds averages the folds' own rates</dd>
<dt>interval</dt><dd>where the number would likely lie for other speakers of the same kind: 95 % of resamples of
the speakers, drawn with replacement, gave a value within</dd>
<dt>coverage</dt><dd>accuracy when the model may stay silent on the clips it is least sure of</dd>
<dt>ECE</dt><dd>mean distance between the highest score and how often it was right; 0 is perfectly calibrated</dd>
<dt>Brier, NLL</dt><dd>errors of all scores together; lower is better</dd>
</dl>
<p>The labels say how a clip sounds, as acted or annotated in the corpora named; they do not say what a person
feels. This is not a lie detector.</p>
";
