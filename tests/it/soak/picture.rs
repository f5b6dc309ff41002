//! The rate of deliveries and their delay over time, as a picture.

use std::fmt::Write as _;
use std::ops::Range;
use std::time::{Duration, Instant};

/// What happened when.
pub(super) struct Picture {
    marks: Vec<(Duration, String)>,
    seconds: Vec<Second>,
}

#[derive(Clone, Copy, Default)]
struct Second {
    deliveries: usize,
    p99_ms: f64,
}

impl Picture {
    /// What happened when, and each delivery by the time at which it was heard, with how long it took.
    pub(super) fn of(span: Range<Instant>, marks: &[(Instant, String)], deliveries: &[(Instant, Duration)]) -> Self {
        let mut seconds: Vec<Vec<Duration>> = Vec::new();
        for (at, delay) in deliveries.iter().filter(|(at, _)| span.contains(at)) {
            let second = (*at - span.start).as_secs() as usize;
            seconds.resize(seconds.len().max(second + 1), Vec::new());
            seconds[second].push(*delay);
        }
        // The last one is not whole.
        seconds.pop();
        let drawn = seconds.into_iter().map(|mut delays| {
            delays.sort_unstable();
            let p99 = delays.get(delays.len() * 99 / 100).copied().unwrap_or_default();
            Second {
                deliveries: delays.len(),
                p99_ms: p99.as_secs_f64() * 1e3,
            }
        });
        let marks = marks.iter().map(|(at, what)| (*at - span.start, what.clone()));
        Self {
            marks: marks.collect(),
            seconds: drawn.collect(),
        }
    }

    pub(super) fn svg(&self) -> String {
        let most = self.seconds.iter().map(|second| second.deliveries).max().unwrap_or(1) as f64;
        let slowest = self.seconds.iter().map(|second| second.p99_ms).fold(1.0, f64::max);
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"11\">\n\
             <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#fff\"/>\n"
        );
        for (index, (at, what)) in self.marks.iter().enumerate() {
            let (x, y) = (self.x(at.as_secs_f64()), TOP - 6.0 - 12.0 * (index % 2) as f64);
            let _ = writeln!(
                svg,
                "<line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{y:.1}\" y2=\"{BOTTOM}\" stroke=\"#bbb\" stroke-dasharray=\"3 3\"/>\
                 <text x=\"{:.1}\" y=\"{y:.1}\" fill=\"#555\">{what}</text>",
                x + 3.0
            );
        }
        let middle = (TOP + BOTTOM) / 2.0;
        svg += &self.curve(TOP..middle - GAP, most, |second| second.deliveries as f64, "#1f6feb");
        svg += &self.curve(middle + GAP..BOTTOM, slowest, |second| second.p99_ms, "#c2410c");
        let _ = writeln!(
            svg,
            "<text x=\"8\" y=\"{:.1}\" fill=\"#1f6feb\">deliveries per second, up to {most}</text>\
             <text x=\"8\" y=\"{:.1}\" fill=\"#c2410c\">p99 of their delay, up to {slowest:.1} ms</text>\
             <text x=\"{:.1}\" y=\"{:.1}\" fill=\"#555\">{} s</text>\n</svg>",
            TOP + 16.0,
            middle + 6.0,
            WIDTH - 40.0,
            HEIGHT - 6.0,
            self.seconds.len()
        );
        svg
    }

    fn curve(&self, rows: Range<f64>, most: f64, of: impl Fn(&Second) -> f64, colour: &str) -> String {
        let Range {
            start: top,
            end: bottom,
        } = rows;
        let points = self.seconds.iter().enumerate().map(|(index, second)| {
            let y = bottom - (bottom - top) * of(second) / most;
            format!("{:.1},{y:.1}", self.x(index as f64 + 0.5))
        });
        let points: Vec<String> = points.collect();
        let points = points.join(" ");
        format!(
            "<line x1=\"0\" x2=\"{WIDTH}\" y1=\"{bottom:.1}\" y2=\"{bottom:.1}\" stroke=\"#ddd\"/>\
             <polyline points=\"{points}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.5\"/>\n"
        )
    }

    fn x(&self, second: f64) -> f64 {
        second / self.seconds.len().max(1) as f64 * WIDTH
    }
}

const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 260.0;
const TOP: f64 = 36.0;
const BOTTOM: f64 = 236.0;
/// Half of what is between the two curves.
const GAP: f64 = 10.0;
