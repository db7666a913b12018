//! A treemap: what a whole is made of, each part an area. Squarified, after Bruls, Huizing and van Wijk (2000):
//! parts stand in rows along the shorter side, and a row takes another part while that makes its parts no longer.

use super::{COLOURS, Percent, Pixels, Svg, Words, share};
use crate::api::ui::escape::Escaped;

/// Most parts: each is five elements, and a hatched one six.
const CELLS_MAX: usize = 32;
const _: () = assert!(CELLS_MAX * 6 + 6 <= super::ELEMENTS_MAX);
/// Height in pixels, and the width for which the parts are laid out.
const HEIGHT: u32 = 240;
const WIDTH: f64 = 800.0;
/// Areas in which a line of text, or two, can be read: pixels at [`WIDTH`].
const TEXT_WIDTH_MIN: f64 = 34.0;
const TEXT_HEIGHT_MIN: f64 = 18.0;
const TWO_LINES_HEIGHT_MIN: f64 = 36.0;

/// A part.
#[derive(Clone, Debug)]
pub(in crate::api::ui) struct Cell {
    pub(in crate::api::ui) weight: u64,
    /// Shown in it where there is room: a name, and below it a size.
    pub(in crate::api::ui) label: String,
    pub(in crate::api::ui) note: String,
    /// Shown while the pointer rests on it.
    pub(in crate::api::ui) tip: String,
    /// A colour, modulo their number.
    pub(in crate::api::ui) colour: usize,
    /// Others have it, too: drawn with lines through it.
    pub(in crate::api::ui) is_shared: bool,
}

/// The parts, heaviest first; those beyond the 32nd, and those without weight, are left out, but for one that
/// stands for all of them, named `others`.
pub(in crate::api::ui) fn svg(words: &Words, mut cells: Vec<Cell>, others: &str) -> String {
    cells.retain(|cell| 0 < cell.weight);
    cells.sort_by_key(|cell| std::cmp::Reverse(cell.weight));
    if CELLS_MAX < cells.len() {
        let rest = cells.split_off(CELLS_MAX - 1);
        let weight = rest
            .iter()
            .fold(0, |sum: u64, cell| sum.saturating_add(cell.weight));
        cells.push(Cell {
            weight,
            label: others.to_owned(),
            note: String::new(),
            tip: others.to_owned(),
            colour: COLOURS - 1,
            is_shared: false,
        });
    }
    let mut svg = Svg::new("treemap", HEIGHT, words);
    if cells.iter().any(|cell| cell.is_shared) {
        svg.put(format_args!(
            "<defs><pattern id=\"hatch\" width=\"7\" height=\"7\" patternUnits=\"userSpaceOnUse\" \
             patternTransform=\"rotate(45)\"><path class=\"hatch\" d=\"M0 0V7\" stroke-width=\"3\"/></pattern>\
             </defs>"
        ));
        svg.elements += 2;
    }
    let weights: Vec<u64> = cells.iter().map(|cell| cell.weight).collect();
    let places = squarify(&weights, WIDTH, f64::from(HEIGHT));
    for (cell, place) in cells.iter().zip(places) {
        draw(&mut svg, cell, place);
    }
    svg.finish()
}

/// Text is cut off by the frame of its cell, however narrow the page is.
fn draw(svg: &mut Svg, cell: &Cell, place: Place) {
    let Place {
        x,
        y,
        width,
        height,
    } = place;
    svg.put(format_args!(
        "<svg x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\">",
        Percent(x / WIDTH),
        Pixels(y),
        Percent(width / WIDTH),
        Pixels(height)
    ));
    svg.tip(&cell.tip);
    let colour = cell.colour % COLOURS;
    svg.put(format_args!(
        "<rect class=\"c{colour}\" width=\"100%\" height=\"100%\"/>"
    ));
    if cell.is_shared {
        svg.put(format_args!(
            "<rect fill=\"url(#hatch)\" width=\"100%\" height=\"100%\"/>"
        ));
    }
    if TEXT_WIDTH_MIN <= width && TEXT_HEIGHT_MIN <= height {
        let label = super::shortened(&cell.label);
        svg.put(format_args!(
            "<text x=\"6\" y=\"15\">{}</text>",
            Escaped(label)
        ));
        if TWO_LINES_HEIGHT_MIN <= height && !cell.note.is_empty() {
            let note = super::shortened(&cell.note);
            svg.put(format_args!(
                "<text class=\"note\" x=\"6\" y=\"30\">{}</text>",
                Escaped(note)
            ));
        }
    }
    svg.close(format_args!("</svg>"));
}

/// A rectangle in pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Place {
    x: f64,
    y: f64,
    width: f64,
    height: f64,
}

/// Places for weights, none of them 0 and the heaviest first, that fill a rectangle without overlap.
fn squarify(weights: &[u64], width: f64, height: f64) -> Vec<Place> {
    let total = weights
        .iter()
        .fold(0, |sum: u64, weight| sum.saturating_add(*weight));
    let areas: Vec<f64> = weights
        .iter()
        .map(|weight| share(*weight, total) * width * height)
        .collect();
    let mut places = Vec::with_capacity(areas.len());
    let mut free = Place {
        x: 0.0,
        y: 0.0,
        width,
        height,
    };
    let mut rest = areas.as_slice();
    while !rest.is_empty() {
        let side = free.width.min(free.height);
        let mut taken = 1;
        while taken < rest.len() && worst(&rest[..=taken], side) <= worst(&rest[..taken], side) {
            taken += 1;
        }
        let (row, later) = rest.split_at(taken);
        free = lay(row, free, &mut places);
        rest = later;
    }
    places
}

/// The most elongated part of a row along `side`: its longer side in terms of its shorter one.
fn worst(row: &[f64], side: f64) -> f64 {
    let sum: f64 = row.iter().sum();
    let depth = sum / side;
    row.iter()
        .map(|area| {
            let length = area / depth;
            (length / depth).max(depth / length)
        })
        .fold(0.0, f64::max)
}

/// Lays a row along the shorter side of what is free; what is free then.
fn lay(row: &[f64], free: Place, places: &mut Vec<Place>) -> Place {
    let sum: f64 = row.iter().sum();
    if free.height <= free.width {
        let width = sum / free.height;
        let mut y = free.y;
        for area in row {
            let height = area / width;
            places.push(Place {
                x: free.x,
                y,
                width,
                height,
            });
            y += height;
        }
        Place {
            x: free.x + width,
            width: (free.width - width).max(f64::MIN_POSITIVE),
            ..free
        }
    } else {
        let height = sum / free.width;
        let mut x = free.x;
        for area in row {
            let width = area / height;
            places.push(Place {
                x,
                y: free.y,
                width,
                height,
            });
            x += width;
        }
        Place {
            y: free.y + height,
            height: (free.height - height).max(f64::MIN_POSITIVE),
            ..free
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::tests::{verify, words};
    use super::*;

    fn cell(weight: u64) -> Cell {
        Cell {
            weight,
            label: "<RUN> apt-get".to_owned(),
            note: "1 MiB".to_owned(),
            tip: "\"tip\"".to_owned(),
            colour: 9,
            is_shared: true,
        }
    }

    #[test]
    fn the_example_of_the_paper_comes_out_as_there() {
        let places = squarify(&[6, 6, 4, 3, 2, 2, 1], 6.0, 4.0);
        let check = |at: usize, x: f64, y: f64, width: f64, height: f64| {
            let place = places[at];
            let is_near = |one: f64, other: f64| (one - other).abs() < 0.01;
            assert!(
                is_near(place.x, x)
                    && is_near(place.y, y)
                    && is_near(place.width, width)
                    && is_near(place.height, height),
                "{place:?}"
            );
        };
        check(0, 0.0, 0.0, 3.0, 2.0);
        check(1, 0.0, 2.0, 3.0, 2.0);
        check(2, 3.0, 0.0, 1.71, 2.33);
        check(3, 4.71, 0.0, 1.29, 2.33);
        check(4, 3.0, 2.33, 1.2, 1.67);
    }

    #[test]
    fn what_is_foreign_is_text() {
        let picture = svg(&words(), vec![cell(3), cell(0)], "others");
        assert_eq!(verify(&picture), 2 + 3 + 6);
        assert!(picture.contains("&lt;RUN&gt;") && picture.contains("class=\"c1\""));
        assert_eq!(verify(&svg(&words(), Vec::new(), "others")), 2);
    }

    #[test]
    fn the_many_small_are_one() {
        let picture = svg(&words(), (1..500).map(cell).collect(), "the others");
        verify(&picture);
        assert!(picture.contains("the others"));
    }

    proptest! {
        #[test]
        fn every_part_has_its_area_and_none_leaves_the_frame(
            mut weights in prop::collection::vec(1_u64..u64::MAX >> 8, 1..CELLS_MAX),
        ) {
            weights.sort_unstable();
            weights.reverse();
            let total: u64 = weights.iter().sum();
            let places = squarify(&weights, WIDTH, 240.0);
            prop_assert_eq!(places.len(), weights.len());
            for (weight, place) in weights.iter().zip(&places) {
                let expected = share(*weight, total) * WIDTH * 240.0;
                prop_assert!((place.width * place.height - expected).abs() < 0.1);
                prop_assert!(-0.1 < place.x && place.x + place.width < WIDTH + 0.1);
                prop_assert!(-0.1 < place.y && place.y + place.height < 240.1);
            }
            let cells = weights.into_iter().map(cell).collect();
            verify(&svg(&words(), cells, "others"));
        }
    }
}
