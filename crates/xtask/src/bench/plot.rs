//! The figures as a picture: modelled time of a generated token, a bar for each model and backend
//! from no to perfect overlap, on a logarithmic axis. SVG. Pure.

use std::fmt::Write;

use super::figures::{Measurement, Phase};

/// The position that is shown.
const POSITION: u32 = 100;
/// All lengths are in the picture's units.
const WIDTH: f64 = 760.0;
const LEFT: f64 = 190.0;
const RIGHT: f64 = 110.0;
const TOP: f64 = 46.0;
const ROW: f64 = 20.0;
const BAR: f64 = 12.0;
const BOTTOM: f64 = 30.0;
/// The axis, in milliseconds.
const LEAST_MS: f64 = 1.0;
const MOST_MS: f64 = 10_000.0;
/// What others are compared with, and the colours of both.
const STOCK: &str = "cpu";
const STOCK_COLOUR: &str = "#8a8f98";
const OUR_COLOUR: &str = "#c51a4a";

/// The picture.
pub fn svg(measurements: &[Measurement]) -> String {
    let shown: Vec<_> = measurements
        .iter()
        .filter(|one| one.phase == Phase::Decode && one.position == POSITION)
        .collect();
    #[allow(clippy::cast_precision_loss, reason = "a few rows")]
    let height = TOP + ROW * shown.len() as f64 + BOTTOM;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         font-family=\"sans-serif\" font-size=\"11\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n\
         <text x=\"10\" y=\"18\" font-size=\"13\">Modelled time of a generated token at position \
         {POSITION}, ARM1176 at 1 GHz</text>\n\
         <text x=\"10\" y=\"34\" fill=\"#555555\">milliseconds, from perfect overlap of loads to \
         none; nothing was measured on a board</text>\n"
    );
    axis(&mut svg, height - BOTTOM);
    let mut y = TOP;
    for one in shown {
        bar(&mut svg, one, y);
        y += ROW;
    }
    svg.push_str("</svg>\n");
    svg
}

fn axis(svg: &mut String, bottom: f64) {
    let mut ms = LEAST_MS;
    while ms <= MOST_MS {
        let x = place(ms);
        let _ = write!(
            svg,
            "<line x1=\"{x:.1}\" y1=\"{TOP}\" x2=\"{x:.1}\" y2=\"{bottom:.1}\" \
             stroke=\"#dddddd\"/>\n\
             <text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\" fill=\"#555555\">{ms}</text>\n",
            bottom + 16.0,
        );
        ms *= 10.0;
    }
}

fn bar(svg: &mut String, one: &Measurement, y: f64) {
    let is_stock = one.backend == STOCK;
    let (from, to) = (place(one.least_ms), place(one.most_ms));
    let colour = if is_stock { STOCK_COLOUR } else { OUR_COLOUR };
    let text_y = y + BAR - 1.0;
    let (model, format, backend) = (&one.model, &one.format, &one.backend);
    let _ = write!(
        svg,
        "<text x=\"{:.1}\" y=\"{text_y:.1}\" text-anchor=\"end\">{model} {format}, \
         {backend}</text>\n\
         <rect x=\"{from:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{BAR}\" rx=\"2\" \
         fill=\"{colour}\"/>\n\
         <text x=\"{:.1}\" y=\"{text_y:.1}\">{:.0} to {:.0}</text>\n",
        LEFT - 8.0,
        (to - from).max(2.0),
        to + 6.0,
        one.least_ms,
        one.most_ms,
    );
}

/// Where a time is on the axis.
fn place(ms: f64) -> f64 {
    let share = (ms.clamp(LEAST_MS, MOST_MS) / LEAST_MS).ln() / (MOST_MS / LEAST_MS).ln();
    LEFT + share * (WIDTH - LEFT - RIGHT)
}

#[cfg(test)]
mod tests {
    use super::super::figures::tests::example;
    use super::*;

    #[test]
    fn each_model_and_backend_has_a_bar() {
        let measured = [example("cpu", 5_000_000), example("armv6", 1_000_000)].concat();
        let svg = svg(&measured);
        assert_eq!(svg.matches("rx=\"2\"").count(), 6);
        assert_eq!(svg.matches(OUR_COLOUR).count(), 3);
        assert!(svg.ends_with("</svg>\n"));
        assert!((place(1.0) - LEFT).abs() < 1e-9 && place(1e9) <= WIDTH - RIGHT);
    }
}
