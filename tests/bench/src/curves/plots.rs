//! Curves as small plots, side by side: what grows to the right, by powers, and each figure from nothing to its most.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Result;

use super::Curve;
use crate::figure::short;
use crate::picture::page;
use crate::report::keep;

/// Draws them.
pub(super) fn write(file: &Path, curves: &[Curve]) -> Result<()> {
    let height = CELL_HEIGHT * curves.len().div_ceil(COLUMNS) as f64;
    let width = CELL_WIDTH * COLUMNS as f64;
    let mut svg = page(width, height);
    for (index, curve) in curves.iter().enumerate() {
        let left = CELL_WIDTH * (index % COLUMNS) as f64 + MARGIN;
        let top = CELL_HEIGHT * (index / COLUMNS) as f64 + HEAD;
        plot(&mut svg, curve, [left, top]);
    }
    svg += "</svg>\n";
    keep(file, &svg)
}

fn plot(svg: &mut String, curve: &Curve, [left, top]: [f64; 2]) {
    let (right, bottom) = (left + CELL_WIDTH - 2.0 * MARGIN, top + CELL_HEIGHT - HEAD - FOOT);
    let ends = [curve.points.first(), curve.points.last()].map(|point| point.map_or(1, |(x, _)| *x));
    let powers = (ends[1] as f64 / ends[0] as f64).ln().max(1.0);
    let x = |value: usize| left + (value as f64 / ends[0] as f64).ln() / powers * (right - left);
    let _ = writeln!(
        svg,
        "<line x1=\"{left}\" x2=\"{right}\" y1=\"{bottom}\" y2=\"{bottom}\" stroke=\"#ddd\"/>\
         <text x=\"{left}\" y=\"{:.1}\" fill=\"#555\">{} {}</text>\
         <text x=\"{right}\" y=\"{:.1}\" fill=\"#555\" text-anchor=\"end\">{}</text>",
        bottom + 15.0,
        ends[0],
        curve.over,
        bottom + 15.0,
        ends[1]
    );
    for (column, (name, colour)) in curve.columns.iter().zip(COLOURS).enumerate() {
        let values = curve.points.iter().map(|(at, values)| (x(*at), values[column]));
        let most = values.clone().map(|(_, value)| value).fold(f64::MIN_POSITIVE, f64::max);
        let places: Vec<(f64, f64)> = values
            .map(|(x, value)| (x, bottom - (bottom - top) * value / most))
            .collect();
        let points: Vec<String> = places.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let _ = writeln!(
            svg,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.5\"/>\
             <text x=\"{left}\" y=\"{:.1}\" fill=\"{colour}\">{name}, up to {}</text>",
            points.join(" "),
            top - HEAD + 14.0 + 14.0 * column as f64,
            short(most)
        );
        for (x, y) in places {
            let _ = writeln!(svg, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2\" fill=\"{colour}\"/>");
        }
    }
}

const COLUMNS: usize = 3;
const CELL_WIDTH: f64 = 300.0;
const CELL_HEIGHT: f64 = 180.0;
const MARGIN: f64 = 16.0;
/// Over a plot its names, below it what grows.
const HEAD: f64 = 38.0;
const FOOT: f64 = 24.0;
const COLOURS: [&str; 2] = ["#1f6feb", "#c2410c"];
