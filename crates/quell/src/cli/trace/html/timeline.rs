//! When the copies came, as a picture: a lane for each server, ticks while they are few, bars when
//! they are many.

use quell_storm::facts::Ms;
use quell_storm::trace::report::{Group, MAX_POINTS, Point};

use super::super::words;
use super::svg::{Svg, colour};

/// Widths of the two pictures.
const WIDE: f64 = 1_000.0;
const NARROW: f64 = 340.0;
/// Lanes drawn; the servers beyond share the last.
const MAX_LANES: usize = 6;
/// Up to so many arrivals each has its own tick.
const MAX_TICKS: usize = 60;
/// Height of a lane with its heading.
const LANE: f64 = 76.0;
/// Of that, the heading.
const HEADING: f64 = 20.0;
const MARGIN: f64 = 12.0;
/// Height of the axis with its two lines of words.
const AXIS: f64 = 44.0;
/// Steps that an axis may have, in seconds.
const STEPS: [Ms; 21] = [
    1,
    5,
    15,
    30,
    60,
    300,
    600,
    1_800,
    3_600,
    7_200,
    10_800,
    21_600,
    43_200,
    86_400,
    172_800,
    604_800,
    1_209_600,
    2_592_000,
    7_776_000,
    31_536_000,
    315_360_000,
];

/// One lane: whose it is and when copies came.
struct Lane {
    culprit: Option<usize>,
    name: String,
    times: Vec<Ms>,
}

/// Where times stand.
struct Scale {
    first: Ms,
    last: Ms,
    width: f64,
}

impl Scale {
    fn new(points: &[Point], width: f64) -> Option<Self> {
        let first = points.iter().map(|point| point.at_ms).min()?;
        let last = points.iter().map(|point| point.at_ms).max()?;
        // A single moment needs some time around it.
        let pad = (last.saturating_sub(first) / 50).max(30_000);
        Some(Self { first: first.saturating_sub(pad), last: last.saturating_add(pad), width })
    }

    fn part(&self, at: Ms) -> f64 {
        let span = (i128::from(self.last) - i128::from(self.first)) as f64;
        (i128::from(at) - i128::from(self.first)) as f64 / span
    }

    fn x(&self, at: Ms) -> f64 {
        MARGIN + self.part(at) * (self.width - 2.0 * MARGIN)
    }
}

/// Both pictures, the wide one first; None without arrivals. `id` is ours.
pub fn pictures(group: &Group, id: &str) -> Option<(String, String)> {
    let points = &group.timeline.points[..group.timeline.points.len().min(MAX_POINTS)];
    let lanes = lanes(points, group);
    let picture = |width, id: &str, class| {
        let scale = Scale::new(points, width)?;
        let mut svg = Svg::new(width, MARGIN + LANE * lanes.len() as f64 + AXIS);
        for (n, lane) in lanes.iter().enumerate() {
            draw_lane(&mut svg, lane, MARGIN + LANE * n as f64, &scale);
        }
        axis(&mut svg, MARGIN + LANE * lanes.len() as f64, &scale);
        Some(svg.finish(id, class, "When the messages arrived", &described(&lanes, points)))
    };
    let wide = picture(WIDE, &format!("{id}w"), "timeline wide")?;
    let narrow = picture(NARROW, &format!("{id}n"), "timeline narrow")?;
    Some((wide, narrow))
}

fn lanes(points: &[Point], group: &Group) -> Vec<Lane> {
    let known = group.culprits.iter().take(MAX_LANES).enumerate();
    let mut lanes: Vec<_> = known
        .map(|(index, culprit)| Lane {
            culprit: Some(index),
            name: format!("Server {}: {}", words::letter(index), words::name(culprit)),
            times: times(points, |culprit| culprit == Some(index)),
        })
        .collect();
    let is_other =
        |culprit: Option<usize>| culprit.is_none_or(|index| index >= MAX_LANES.min(group.culprits.len()));
    lanes.push(Lane {
        culprit: None,
        name: match group.culprits.is_empty() {
            true => "All arrivals".to_owned(),
            false => "All others".to_owned(),
        },
        times: times(points, is_other),
    });
    lanes.retain(|lane| !lane.times.is_empty());
    lanes
}

fn times(points: &[Point], of: impl Fn(Option<usize>) -> bool) -> Vec<Ms> {
    points.iter().filter(|point| of(point.culprit)).map(|point| point.at_ms).collect()
}

fn described(lanes: &[Lane], points: &[Point]) -> String {
    let first = points.iter().map(|point| point.at_ms).min();
    let last = points.iter().map(|point| point.at_ms).max();
    let said = |lane: &Lane| {
        format!("{}, {}", lane.name, words::counted(lane.times.len() as u64, "arrival", "arrivals"))
    };
    let lanes: Vec<_> = lanes.iter().map(said).collect();
    format!("{}. {}.", words::from_to(first, last).unwrap_or_default(), lanes.join("; "))
}

fn draw_lane(svg: &mut Svg, lane: &Lane, top: f64, scale: &Scale) {
    let class =
        lane.culprit.map_or_else(|| "lane other".to_owned(), |index| format!("lane {}", colour(index)));
    let count = words::number(lane.times.len() as u64);
    svg.open(&class, &format!("{}: {count}", lane.name));
    let room = ((scale.width - 2.0 * MARGIN) / 7.2) as usize;
    let name: String = match lane.name.chars().count() > room {
        true => lane.name.chars().take(room.saturating_sub(1)).chain(['…']).collect(),
        false => lane.name.clone(),
    };
    svg.text(MARGIN, top + 13.0, "lane-name", &name);
    let (bottom, height) = (top + LANE - 14.0, LANE - HEADING - 16.0);
    svg.add(format_args!("<path class=\"ground\" d=\"M{MARGIN} {bottom:.1}H{:.1}\"/>", scale.width - MARGIN));
    if lane.times.len() <= MAX_TICKS {
        for at in &lane.times {
            svg.add(format_args!(
                "<path class=\"tick\" d=\"M{:.1} {bottom:.1}V{:.1}\"/>",
                scale.x(*at),
                bottom - height * 0.7
            ));
        }
    } else {
        bars(svg, lane, bottom, height, scale);
    }
    svg.close();
}

fn bars(svg: &mut Svg, lane: &Lane, bottom: f64, height: f64, scale: &Scale) {
    let count = ((scale.width - 2.0 * MARGIN) / 8.0) as usize;
    let mut bins = vec![0_u32; count.max(1)];
    for at in &lane.times {
        let bin = (scale.part(*at) * bins.len() as f64) as usize;
        let last = bins.len() - 1;
        bins[bin.min(last)] += 1;
    }
    let most = f64::from(bins.iter().copied().max().unwrap_or(1).max(1));
    let wide = (scale.width - 2.0 * MARGIN) / bins.len() as f64;
    for (n, held) in bins.iter().enumerate().filter(|(_, held)| **held > 0) {
        let tall = (height * f64::from(*held) / most).max(2.0);
        svg.add(format_args!(
            "<rect class=\"bar\" x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{tall:.1}\"/>",
            MARGIN + wide * n as f64 + 0.5,
            bottom - tall,
            wide - 1.0
        ));
    }
}

fn axis(svg: &mut Svg, top: f64, scale: &Scale) {
    let span = (i128::from(scale.last) - i128::from(scale.first)) as f64 / 1_000.0;
    let most = (scale.width / 92.0).max(2.0);
    let step = STEPS.into_iter().find(|step| span / *step as f64 <= most).unwrap_or(STEPS[STEPS.len() - 1]);
    let step_ms = step * 1_000;
    let mut at = scale.first.div_euclid(step_ms).saturating_add(1).saturating_mul(step_ms);
    let mut day = String::new();
    // A few more than there is room for: times that no calendar holds end the axis too.
    for _ in 0..=(most as usize) {
        if at > scale.last {
            break;
        }
        let x = scale.x(at);
        svg.add(format_args!("<path class=\"mark\" d=\"M{x:.1} {top:.1}v6\"/>"));
        let today = words::format_ms(at, "%-d %b %Y");
        let clock = words::format_ms(at, if step < 60 { "%H:%M:%S" } else { "%H:%M" });
        let (upper, lower) = if step < 86_400 { (clock, today) } else { (today, String::new()) };
        // A word at the edge would be cut.
        let anchor = if x < 46.0 {
            "axis-start"
        } else if x > scale.width - 46.0 {
            "axis-end"
        } else {
            "axis"
        };
        svg.text(x, top + 20.0, anchor, &upper);
        if lower != day {
            svg.text(x, top + 36.0, anchor, &lower);
            day = lower;
        }
        at = at.saturating_add(step_ms);
    }
}
