//! Horizontal bars: one number for each of a list, to be compared at a glance. A bar may have several parts.

use super::{COLOURS, Percent, Svg, Words, share};
use crate::api::ui::escape::Escaped;

/// Most bars, and parts of each.
const ROWS_MAX: usize = 20;
const PARTS_MAX: usize = 4;
const _: () = assert!(ROWS_MAX * (5 + PARTS_MAX) + 2 <= super::ELEMENTS_MAX);
/// Height of a bar with its place, in pixels.
const ROW_HEIGHT: u32 = 26;
/// Where bars begin, and where the longest ends: the label stands before, the number behind. On the narrowest
/// screens a picture is 290 pixels wide, and "1,023 MiB" takes 60 of them.
const START: f64 = 0.26;
const END: f64 = 0.78;

/// A bar.
#[derive(Clone, Debug)]
pub(in crate::api::ui) struct Bar {
    pub(in crate::api::ui) label: String,
    /// Shown behind the bar.
    pub(in crate::api::ui) value: String,
    pub(in crate::api::ui) tip: String,
    pub(in crate::api::ui) parts: Vec<Part>,
}

#[derive(Clone, Copy, Debug)]
pub(in crate::api::ui) struct Part {
    pub(in crate::api::ui) weight: u64,
    /// A colour, modulo their number.
    pub(in crate::api::ui) colour: usize,
}

impl Bar {
    fn weight(&self) -> u64 {
        let weights = self.parts.iter().take(PARTS_MAX).map(|part| part.weight);
        weights.fold(0, u64::saturating_add)
    }
}

/// The first 20 bars, in their order; the longest fills the width.
pub(in crate::api::ui) fn svg(words: &Words, bars: &[Bar]) -> String {
    let bars = &bars[..bars.len().min(ROWS_MAX)];
    let longest = bars.iter().map(Bar::weight).max().unwrap_or(0);
    let rows = u32::try_from(bars.len()).unwrap_or(0);
    let mut svg = Svg::new("bars", ROW_HEIGHT * rows.max(1), words);
    let mut y = 0;
    for bar in bars {
        row(&mut svg, bar, y, longest);
        y += ROW_HEIGHT;
    }
    svg.finish()
}

fn row(svg: &mut Svg, bar: &Bar, y: u32, longest: u64) {
    svg.put(format_args!(
        "<svg y=\"{y}\" width=\"100%\" height=\"{ROW_HEIGHT}\">"
    ));
    svg.tip(&bar.tip);
    // A frame of its own cuts the label off where the bar begins.
    svg.close(format_args!(
        "<svg width=\"{}\"><text y=\"17\">{}</text></svg>",
        Percent(START - 0.01),
        Escaped(super::shortened(&bar.label))
    ));
    svg.elements += 2;
    let mut x = START;
    for part in bar.parts.iter().take(PARTS_MAX) {
        let width = share(part.weight, longest) * (END - START);
        let colour = part.colour % COLOURS;
        let (at, length) = (Percent(x), Percent(width));
        svg.put(format_args!(
            "<rect class=\"c{colour}\" x=\"{at}\" y=\"5\" width=\"{length}\" height=\"16\"/>"
        ));
        x += width;
    }
    svg.close(format_args!(
        "<text class=\"note\" x=\"{}\" dx=\"6\" y=\"17\">{}</text></svg>",
        Percent(x),
        Escaped(super::shortened(&bar.value))
    ));
    svg.elements += 1;
}

#[cfg(test)]
mod tests {
    use super::super::tests::{verify, words};
    use super::*;

    fn bar(weights: &[u64]) -> Bar {
        Bar {
            label: "v1 <b>".to_owned(),
            value: "1 MiB".to_owned(),
            tip: "t".to_owned(),
            parts: weights
                .iter()
                .enumerate()
                .map(|(colour, weight)| Part {
                    weight: *weight,
                    colour,
                })
                .collect(),
        }
    }

    #[test]
    fn the_longest_fills_the_width_and_parts_follow_each_other() {
        let picture = svg(&words(), &[bar(&[50, 50]), bar(&[25]), bar(&[])]);
        verify(&picture);
        assert!(
            picture.contains("<rect class=\"c0\" x=\"26%\" y=\"5\" width=\"26%\""),
            "{picture}"
        );
        assert!(picture.contains("<rect class=\"c1\" x=\"52%\" y=\"5\" width=\"26%\""));
        assert!(picture.contains("width=\"13%\"") && picture.contains("v1 &lt;b&gt;"));
        assert!(picture.contains("height=\"78\""));
    }

    #[test]
    fn it_is_bounded() {
        verify(&svg(&words(), &vec![bar(&[u64::MAX; 9]); 1000]));
        assert_eq!(verify(&svg(&words(), &[])), 2);
        verify(&svg(&words(), &[bar(&[0])]));
    }
}
