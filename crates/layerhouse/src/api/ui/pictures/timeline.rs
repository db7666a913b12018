//! Where a tag pointed, and when: time goes to the right, every digest has a lane.

use super::{COLOURS, Percent, Svg, Words};
use crate::api::ui::escape::Escaped;
use crate::clock::Timestamp;

/// Most moves and lanes; the latest are shown.
const MOVES_MAX: usize = 40;
const LANES_MAX: usize = 8;
const _: () = assert!(MOVES_MAX * 4 + LANES_MAX * 2 + 5 <= super::ELEMENTS_MAX);
/// Height of a lane in pixels: its name above, its line below.
const LANE_HEIGHT: u32 = 36;
const LINE: u32 = 26;
/// Height of the dates below, in pixels.
const AXIS_HEIGHT: u32 = 22;
/// Dots need some room beside the first and the last.
const MARGIN: f64 = 0.015;

/// A tag that was pointed at something, or removed.
#[derive(Clone, Debug)]
pub(in crate::api::ui) struct Move {
    pub(in crate::api::ui) at: Timestamp,
    /// Where it pointed from then on: a text by which digests can be told apart; none if it was removed.
    pub(in crate::api::ui) to: Option<String>,
    pub(in crate::api::ui) tip: String,
}

/// The last 40 of `moves`, which are in order of time, until `now`. Dates below the first move and `now` are
/// the caller's words.
pub(in crate::api::ui) fn svg(
    words: &Words,
    moves: &[Move],
    now: Timestamp,
    dates: [&str; 2],
) -> String {
    let moves = &moves[moves.len().saturating_sub(MOVES_MAX)..];
    let lanes = lanes(moves);
    let rows = u32::try_from(lanes.len()).unwrap_or(0).max(1);
    let height = rows * LANE_HEIGHT;
    let mut svg = Svg::new("timeline", height + AXIS_HEIGHT, words);
    let start = moves.first().map_or(now, |first| first.at);
    let end = moves.iter().map(|one| one.at).fold(now, Timestamp::max);
    let mut y = 0;
    for lane in &lanes {
        let line = y + LINE;
        svg.put(format_args!(
            "<text class=\"note\" x=\"{}\" y=\"{}\">{}</text>",
            Percent(MARGIN / 2.0),
            y + 14,
            Escaped(super::shortened(lane))
        ));
        svg.put(format_args!(
            "<line class=\"grid\" x1=\"0\" x2=\"100%\" y1=\"{line}\" y2=\"{line}\"/>"
        ));
        y += LANE_HEIGHT;
    }
    let lane_of = |one: &Move| {
        let to = one.to.as_ref()?;
        // Digests that have no lane of their own share the last.
        let lane = lanes.iter().position(|lane| lane == to);
        Some(lane.unwrap_or(LANES_MAX - 1))
    };
    let height_of = |lane: usize| u32::try_from(lane).unwrap_or(0) * LANE_HEIGHT + LINE;
    let mut before: Option<usize> = None;
    for (at, one) in moves.iter().enumerate() {
        let x = place(one.at, start, end);
        let until = moves.get(at + 1).map_or(end, |next| next.at);
        let lane = lane_of(one);
        if let (Some(from), Some(to)) = (before, lane)
            && from != to
        {
            let (y1, y2) = (height_of(from), height_of(to));
            svg.put(format_args!(
                "<line class=\"move\" x1=\"{x}\" x2=\"{x}\" y1=\"{y1}\" y2=\"{y2}\"/>"
            ));
        }
        if let Some(lane) = lane {
            let (y, colour, x2) = (height_of(lane), lane % COLOURS, place(until, start, end));
            svg.put(format_args!(
                "<line class=\"c{colour} stay\" x1=\"{x}\" x2=\"{x2}\" y1=\"{y}\" y2=\"{y}\"/>"
            ));
            svg.put(format_args!(
                "<circle class=\"c{colour}\" cx=\"{x}\" cy=\"{y}\" r=\"6\">"
            ));
            svg.tip(&one.tip);
            svg.close(format_args!("</circle>"));
        } else {
            let y = height_of(before.unwrap_or(0));
            svg.put(format_args!(
                "<circle class=\"gone\" cx=\"{x}\" cy=\"{y}\" r=\"6\">"
            ));
            svg.tip(&one.tip);
            svg.close(format_args!("</circle>"));
        }
        before = lane.or(before);
    }
    let y = height + 16;
    let [first, last] = dates.map(Escaped);
    svg.put(format_args!(
        "<text class=\"note\" x=\"0\" y=\"{y}\">{first}</text>"
    ));
    svg.put(format_args!(
        "<text class=\"note\" x=\"100%\" y=\"{y}\" text-anchor=\"end\">{last}</text>"
    ));
    svg.finish()
}

/// The digests in the order in which they came, the first on top; of many the first ones, and one for the others.
fn lanes(moves: &[Move]) -> Vec<String> {
    let mut lanes: Vec<String> = Vec::new();
    for to in moves.iter().filter_map(|one| one.to.as_ref()) {
        if lanes.contains(to) {
            continue;
        }
        if lanes.len() == LANES_MAX - 1 {
            lanes.push("…".to_owned());
        }
        if LANES_MAX <= lanes.len() {
            break;
        }
        lanes.push(to.clone());
    }
    lanes
}

#[expect(
    clippy::cast_precision_loss,
    reason = "milliseconds since 1970 are below 2^53, and a picture has some thousand pixels"
)]
fn place(at: Timestamp, start: Timestamp, end: Timestamp) -> Percent {
    let all = end.0.saturating_sub(start.0).max(1) as f64;
    let passed = at.0.saturating_sub(start.0).max(0) as f64;
    Percent(MARGIN + (passed / all).min(1.0) * (1.0 - 2.0 * MARGIN))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{verify, words};
    use super::*;

    fn moved(at: i64, to: Option<&str>) -> Move {
        Move {
            at: Timestamp(at),
            to: to.map(str::to_owned),
            tip: "<by>".to_owned(),
        }
    }

    #[test]
    fn a_tag_that_moved_and_came_back_has_two_lanes() {
        let moves = [
            moved(0, Some("aaa")),
            moved(50, Some("b<b")),
            moved(75, None),
            moved(100, Some("aaa")),
        ];
        let picture = svg(&words(), &moves, Timestamp(100), ["2026", "<now>"]);
        // Frame, lanes, two that connect, three stays, four dots with tips, dates.
        assert_eq!(verify(&picture), 2 + 4 + 2 + 3 + 8 + 2, "{picture}");
        assert!(picture.contains("cx=\"50%\"") && picture.contains("b&lt;b"));
        assert!(picture.contains("class=\"gone\" cx=\"74.25%\" cy=\"62\""));
        assert!(picture.contains("height=\"94\""));
    }

    #[test]
    fn it_is_bounded() {
        let names: Vec<String> = (0..500).map(|number| format!("d{number}")).collect();
        let moves: Vec<Move> = (0..)
            .zip(&names)
            .map(|(at, name)| moved(at, Some(name)))
            .collect();
        let picture = svg(&words(), &moves, Timestamp(0), ["", ""]);
        verify(&picture);
        assert_eq!(lanes(&moves).len(), LANES_MAX);
        verify(&svg(&words(), &[], Timestamp(0), ["", ""]));
        verify(&svg(
            &words(),
            &[moved(5, Some("a"))],
            Timestamp(5),
            ["", ""],
        ));
        verify(&svg(
            &words(),
            &[moved(i64::MIN, None), moved(i64::MAX, None)],
            Timestamp(0),
            ["", ""],
        ));
    }
}
