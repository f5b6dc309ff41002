//! The table as a picture: a bar for each figure that has a goal, and a mark where the goal is.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Result;

use crate::figure::{Figure, Goal, short};
use crate::report::{Report, keep};

/// One bar.
struct Bar {
    label: String,
    /// In units of the floor, or of the goal.
    value: f64,
    /// The least and the most of several runs.
    span: [f64; 2],
    goal: f64,
    reached: bool,
    /// What stands behind the bar.
    text: String,
}

/// Draws the figures of a run.
pub(crate) fn write(file: &Path, report: &Report) -> Result<()> {
    keep(file, &svg(report))
}

/// How a picture of this size begins.
pub(crate) fn page(width: f64, height: f64) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" font-size=\"11\">\n\
         <rect width=\"{width}\" height=\"{height}\" fill=\"#fff\"/>\n"
    )
}

fn svg(report: &Report) -> String {
    let ratios: Vec<Bar> = report.figures.iter().filter_map(beside_floor).collect();
    let shares: Vec<Bar> = report.figures.iter().filter_map(beside_goal).collect();
    let height = HEAD * 2.0 + ROW * (ratios.len() + shares.len()) as f64 + FOOT;
    let mut svg = page(WIDTH, height);
    let below = group(
        &mut svg,
        0.0,
        "times the floor of the same run; the mark is the goal",
        &ratios,
    );
    let below = group(&mut svg, below, "parts of what the goal allows", &shares);
    let smoke = if report.smoke { ", a smoke" } else { "" };
    let _ = writeln!(
        svg,
        "<text x=\"8\" y=\"{:.1}\" fill=\"#555\">Jackfield {}, {}, {} cores, {} runs{smoke}; the thin line is what runs lay between</text>\n</svg>",
        below + FOOT - 8.0,
        report.version,
        report.date,
        report.cores,
        report.runs
    );
    svg
}

/// Says where it ends.
fn group(svg: &mut String, top: f64, title: &str, bars: &[Bar]) -> f64 {
    let most = bars.iter().map(|bar| bar.value.max(bar.goal)).fold(1.0, f64::max) * 1.1;
    let most = most.min(LONGEST);
    let x = |value: f64| LEFT + (value / most).min(1.0) * (RIGHT - LEFT);
    let first = top + HEAD;
    let bottom = first + ROW * bars.len() as f64;
    let _ = writeln!(
        svg,
        "<text x=\"8\" y=\"{:.1}\" fill=\"#555\">{title}</text>\
         <line x1=\"{one:.1}\" x2=\"{one:.1}\" y1=\"{first:.1}\" y2=\"{bottom:.1}\" stroke=\"#bbb\" stroke-dasharray=\"3 3\"/>",
        top + 18.0,
        one = x(1.0)
    );
    for (index, bar) in bars.iter().enumerate() {
        let y = first + ROW * index as f64;
        let colour = if bar.reached { REACHED } else { MISSED };
        let middle = y + ROW / 2.0;
        let _ = writeln!(
            svg,
            "<text x=\"8\" y=\"{text:.1}\" fill=\"#222\">{}</text>\
             <rect x=\"{LEFT}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\" fill=\"{colour}\"/>\
             <line x1=\"{:.1}\" x2=\"{:.1}\" y1=\"{middle:.1}\" y2=\"{middle:.1}\" stroke=\"#222\"/>\
             <line x1=\"{goal:.1}\" x2=\"{goal:.1}\" y1=\"{:.1}\" y2=\"{:.1}\" stroke=\"#222\" stroke-width=\"2\"/>\
             <text x=\"{:.1}\" y=\"{text:.1}\" fill=\"#555\">{}</text>",
            bar.label,
            y + 3.0,
            x(bar.value) - LEFT,
            ROW - 6.0,
            x(bar.span[0]),
            x(bar.span[1]),
            y + 1.0,
            y + ROW - 1.0,
            RIGHT + 8.0,
            bar.text,
            goal = x(bar.goal),
            text = middle + 4.0,
        );
    }
    bottom
}

fn beside_floor(figure: &Figure) -> Option<Bar> {
    let (Goal::Ratio(goal), Some(ratio)) = (figure.goal?, figure.ratio) else {
        return None;
    };
    Some(Bar {
        label: format!("{}: {}", figure.row, figure.what),
        value: ratio.median,
        span: [ratio.min, ratio.max],
        goal,
        reached: figure.reached?,
        text: format!("{} x, goal {goal}", short(ratio.median)),
    })
}

fn beside_goal(figure: &Figure) -> Option<Bar> {
    let (goal, sign) = match figure.goal? {
        Goal::Ratio(_) => return None,
        Goal::AtMost(most) => (most, "at most"),
        Goal::AtLeast(least) => (least, "at least"),
    };
    let jackfield = figure.jackfield;
    Some(Bar {
        label: format!("{}: {}", figure.row, figure.what),
        value: (jackfield.median / goal).max(0.0),
        span: [jackfield.min, jackfield.max].map(|value| (value / goal).max(0.0)),
        goal: 1.0,
        reached: figure.reached?,
        text: format!("{}, {sign} {goal}", short(jackfield.median)),
    })
}

const WIDTH: f64 = 900.0;
/// Where bars begin and end.
const LEFT: f64 = 270.0;
const RIGHT: f64 = 740.0;
/// What ends at the right edge: one far off would leave no room for the others.
const LONGEST: f64 = 3.2;
const ROW: f64 = 20.0;
/// What stands over a group, and below the last one.
const HEAD: f64 = 28.0;
const FOOT: f64 = 28.0;
const REACHED: &str = "#1f6feb";
const MISSED: &str = "#c2410c";
