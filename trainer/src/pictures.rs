//! Drawings as pixels: PNG of charts, GIF of episodes.

use anyhow::Context as _;
use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::fontdb::{Database, FaceInfo, Family, Query};
use resvg::usvg::{Options, Tree};

use crate::film::Film;

/// Side of a picture of an episode, in pixels.
const SIDE: f32 = 480.0;
/// How long a frame stays, and the last one, in hundredths of a second.
const STAY: [u16; 2] = [15, 200];

/// What turns drawings into pixels, with the fonts of this system.
struct Painter(Options<'static>);

impl Painter {
    fn new() -> anyhow::Result<Self> {
        let mut options = Options::default();
        let fonts = options.fontdb_mut();
        fonts.load_system_fonts();
        // The usual ones may be missing: then any, of fixed width where there is one.
        let family = |fonts: &Database, fixed: bool| {
            let wanted = if fixed { "Mono" } else { "Sans" };
            let name = |face: &FaceInfo| face.families.first().map(|(name, _)| name.clone());
            let fit = |face: &&FaceInfo| {
                face.monospaced == fixed && name(face).is_some_and(|name| name.contains(wanted))
            };
            let any = || fonts.faces().find(|face| face.monospaced == fixed).or_else(|| fonts.faces().next());
            name(fonts.faces().find(fit).or_else(any)?)
        };
        let none = "this system has no fonts to write with; install some, for example fonts-dejavu-core";
        for (generic, fixed) in [(Family::SansSerif, false), (Family::Monospace, true)] {
            if fonts.query(&Query { families: &[generic], ..Query::default() }).is_none() {
                let name = family(fonts, fixed).context(none)?;
                if fixed {
                    fonts.set_monospace_family(name);
                } else {
                    fonts.set_sans_serif_family(name);
                }
            }
        }
        Ok(Self(options))
    }

    fn paint(&self, svg: &str, scale: f32) -> anyhow::Result<Pixmap> {
        let tree = Tree::from_str(svg, &self.0).context("reading a drawing")?;
        let size = tree.size().to_int_size().scale_by(scale).context("a drawing of no size")?;
        let mut pixels = Pixmap::new(size.width(), size.height()).context("a drawing of no size")?;
        resvg::render(&tree, Transform::from_scale(scale, scale), &mut pixels.as_mut());
        Ok(pixels)
    }
}

/// Charts as PNG, twice their size.
///
/// # Errors
/// If a chart cannot be drawn.
pub fn png(svgs: &[String]) -> anyhow::Result<Vec<Vec<u8>>> {
    let painter = Painter::new()?;
    svgs.iter().map(|svg| painter.paint(svg, 2.0)?.encode_png().context("writing a picture")).collect()
}

/// An episode as a GIF that plays for ever.
///
/// # Errors
/// If a moment cannot be drawn.
pub fn gif(film: &Film) -> anyhow::Result<Vec<u8>> {
    let painter = Painter::new()?;
    let paint = |index: usize| {
        let still = film.still(index, SIDE).context("a film without moments")?;
        painter.paint(&still, 1.0)
    };
    let mut pixels = paint(0)?;
    let (width, height) = (pixels.width() as u16, pixels.height() as u16);
    let mut encoder = gif::Encoder::new(Vec::new(), width, height, &[])?;
    encoder.set_repeat(gif::Repeat::Infinite)?;
    for index in 0..film.moments() {
        if index > 0 {
            pixels = paint(index)?;
        }
        let mut frame = gif::Frame::from_rgba_speed(width, height, pixels.data_mut(), 10);
        frame.delay = STAY[usize::from(index + 1 == film.moments())];
        encoder.write_frame(&frame)?;
    }
    Ok(encoder.into_inner()?)
}
