//! Numbers over time: areas on top of each other, and lines above them.

use std::fmt::Write;

use super::{COLOURS, Percent, Pixels, Svg, Words, share};
use crate::api::ui::escape::Escaped;
use crate::clock::Timestamp;

/// Most series, and points of each: more are thinned out.
const SERIES_MAX: usize = 8;
const POINTS_MAX: usize = 400;
/// Heights in pixels: of the whole, and of what stands above and below the curves.
const HEIGHT: u32 = 220;
const ABOVE: f64 = 8.0;
const BELOW: f64 = 22.0;
/// What the curves are drawn in: x and y from 0 to this, stretched over their place.
const GRAIN: f64 = 1000.0;
/// Lines across, at quarters.
const GRID: [f64; 3] = [1.0, 0.5, 0.0];

/// How a series is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::api::ui) enum Shape {
    /// On top of the areas before it.
    Area,
    /// By itself.
    Line,
}

/// Numbers, one for each of the times.
#[derive(Clone, Debug)]
pub(in crate::api::ui) struct Series {
    pub(in crate::api::ui) name: String,
    pub(in crate::api::ui) shape: Shape,
    /// A colour, modulo their number.
    pub(in crate::api::ui) colour: usize,
    pub(in crate::api::ui) values: Vec<u64>,
}

/// The first 8 series at `times`, which ascend. `shown` says a number as people read it; `dates` stand below the
/// first and the last time.
pub(in crate::api::ui) fn svg(
    words: &Words,
    times: &[Timestamp],
    series: &[Series],
    shown: impl Fn(u64) -> String,
    dates: [&str; 2],
) -> String {
    let series = &series[..series.len().min(SERIES_MAX)];
    let mut svg = Svg::new("line", HEIGHT, words);
    let height = f64::from(HEIGHT) - ABOVE - BELOW;
    let kept = kept(times.len());
    let stacked = stacked(series, &kept);
    let highest = stacked.iter().flat_map(|one| &one.tops).copied().max();
    let top = round_up(highest.unwrap_or(0).max(1));
    for part in GRID {
        let y = Pixels(ABOVE + (1.0 - part) * height);
        svg.put(format_args!(
            "<line class=\"grid\" x1=\"0\" x2=\"100%\" y1=\"{y}\" y2=\"{y}\"/>"
        ));
    }
    svg.put(format_args!(
        "<svg y=\"{}\" width=\"100%\" height=\"{}\" viewBox=\"0 0 {GRAIN} {GRAIN}\" \
         preserveAspectRatio=\"none\">",
        Pixels(ABOVE),
        Pixels(height)
    ));
    let (first, last) = (times.first(), times.last());
    let along = |index: usize| match (first, last) {
        (Some(first), Some(last)) if first < last => {
            let passed = times[index].0.saturating_sub(first.0).unsigned_abs();
            share(passed, last.0.saturating_sub(first.0).unsigned_abs()).min(1.0)
        }
        _ => 0.0,
    };
    for (one, curve) in series.iter().zip(&stacked) {
        let point = |place: usize, value: u64| {
            let x = along(kept[place]) * GRAIN;
            (x, (1.0 - share(value, top)) * GRAIN)
        };
        let colour = one.colour % COLOURS;
        let mut path = String::new();
        let forwards = curve.tops.iter().enumerate();
        for (place, value) in forwards {
            step(&mut path, point(place, *value));
        }
        let class = match one.shape {
            Shape::Line => "stroke",
            Shape::Area => {
                for (place, value) in curve.bottoms.iter().enumerate().rev() {
                    step(&mut path, point(place, *value));
                }
                "area"
            }
        };
        svg.put(format_args!(
            "<path class=\"c{colour} {class}\" vector-effect=\"non-scaling-stroke\" d=\"{path}\">"
        ));
        svg.tip(&one.name);
        svg.close(format_args!("</path>"));
    }
    svg.close(format_args!("</svg>"));
    for part in [1.0, 0.5] {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a part of a number, to be read by people"
        )]
        let value = (top as f64 * part) as u64;
        let y = Pixels(ABOVE + (1.0 - part) * height + 12.0);
        svg.put(format_args!(
            "<text class=\"note\" x=\"2\" y=\"{y}\">{}</text>",
            Escaped(shown(value))
        ));
    }
    let [from, to] = dates.map(Escaped);
    let y = HEIGHT - 6;
    svg.put(format_args!(
        "<text class=\"note\" x=\"0\" y=\"{y}\">{from}</text>"
    ));
    svg.put(format_args!(
        "<text class=\"note\" x=\"{}\" y=\"{y}\" text-anchor=\"end\">{to}</text>",
        Percent(1.0)
    ));
    svg.finish()
}

fn step(path: &mut String, (x, y): (f64, f64)) {
    let command = if path.is_empty() { 'M' } else { 'L' };
    write!(path, "{command}{} {}", Pixels(x), Pixels(y)).expect("text can always grow by text");
}

/// Which of so many points are drawn: all, or evenly chosen ones, the first and the last among them.
fn kept(points: usize) -> Vec<usize> {
    if points <= POINTS_MAX {
        return (0..points).collect();
    }
    (0..POINTS_MAX)
        .map(|place| place * (points - 1) / (POINTS_MAX - 1))
        .collect()
}

/// The upper and the lower edge of a series, at the points that are kept.
#[derive(Debug)]
struct Curve {
    tops: Vec<u64>,
    bottoms: Vec<u64>,
}

fn stacked(series: &[Series], kept: &[usize]) -> Vec<Curve> {
    let mut below = vec![0_u64; kept.len()];
    let value = |one: &Series, index: usize| one.values.get(index).copied().unwrap_or(0);
    series
        .iter()
        .map(|one| match one.shape {
            Shape::Line => Curve {
                tops: kept.iter().map(|index| value(one, *index)).collect(),
                bottoms: Vec::new(),
            },
            Shape::Area => {
                let bottoms = below.clone();
                for (sum, index) in below.iter_mut().zip(kept) {
                    *sum = sum.saturating_add(value(one, *index));
                }
                Curve {
                    tops: below.clone(),
                    bottoms,
                }
            }
        })
        .collect()
}

/// Numbers at which an axis may end, of the largest unit of which there is one.
const FACTORS: [u64; 23] = [
    1, 2, 3, 4, 6, 8, 10, 16, 20, 32, 40, 64, 80, 100, 128, 160, 200, 256, 320, 400, 512, 640, 800,
];

/// The next number that can be said: `3 GiB`, not `2.3 GiB`.
fn round_up(value: u64) -> u64 {
    let unit = 1_u64 << (value.max(1).ilog2() / 10 * 10);
    for factor in FACTORS {
        let Some(rounded) = unit.checked_mul(factor) else {
            return u64::MAX;
        };
        if value <= rounded {
            return rounded;
        }
    }
    unit.saturating_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{verify, words};
    use super::*;

    fn series(shape: Shape, values: &[u64]) -> Series {
        Series {
            name: "<unique>".to_owned(),
            shape,
            colour: 8,
            values: values.to_vec(),
        }
    }

    #[test]
    fn areas_stand_on_each_other_and_lines_by_themselves() {
        let times = [0, 50, 100].map(Timestamp);
        let all = [
            series(Shape::Area, &[1, 1, 1]),
            series(Shape::Area, &[1, 2, 3]),
            series(Shape::Line, &[4, 4]),
        ];
        let picture = svg(
            &words(),
            &times,
            &all,
            |value| format!("{value} <B>"),
            ["a", "b"],
        );
        verify(&picture);
        assert!(
            picture.contains("d=\"M0 750L500 750L1000 750L1000 1000L500 1000L0 1000\""),
            "{picture}"
        );
        assert!(picture.contains("d=\"M0 500L500 250L1000 0L1000 750L500 750L0 750\""));
        assert!(picture.contains("d=\"M0 0L500 0L1000 1000\""));
        assert!(picture.contains("4 &lt;B&gt;") && picture.contains("2 &lt;B&gt;"));
    }

    #[test]
    fn it_is_bounded() {
        let times: Vec<Timestamp> = (0..10_000).map(Timestamp).collect();
        let values: Vec<u64> = (0..10_000).collect();
        let all = vec![series(Shape::Area, &values); 20];
        let picture = svg(&words(), &times, &all, |_| String::new(), ["", ""]);
        verify(&picture);
        assert!(picture.len() < 120_000, "{}", picture.len());
        assert_eq!(kept(10_000).last(), Some(&9_999));
        verify(&svg(&words(), &[], &[], |_| String::new(), ["", ""]));
        verify(&svg(
            &words(),
            &[Timestamp(5)],
            &[series(Shape::Line, &[u64::MAX])],
            |_| String::new(),
            ["", ""],
        ));
    }

    #[test]
    fn the_axis_ends_at_a_number_that_can_be_said() {
        let check = |value, expected| assert_eq!(round_up(value), expected);
        check(0, 1);
        check(5, 6);
        check(700, 800);
        check(900, 1024);
        check(1 << 30, 1 << 30);
        check((1 << 30) + 1, 2 << 30);
        check(u64::MAX, u64::MAX);
    }
}
