//! Where the ground can be walked on.
//!
//! ```text
//! rectangles of a map file ─► cells ─► few large blocks, which units keep away from
//! ```

use super::plane::{Vector, vector};

/// Longest side of a map, cells.
pub(super) const LONGEST_SIDE: usize = 256;

/// Left, bottom, width, height; cells.
pub(super) type Rectangle = [usize; 4];

/// A rectangle without passage, from its lower left to its upper right corner.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Block {
    pub(super) low: Vector,
    pub(super) high: Vector,
}

impl Block {
    /// Corners counter-clockwise, from the lower left.
    pub(super) fn corners(&self) -> [Vector; 4] {
        [self.low, vector(self.high.x, self.low.y), self.high, vector(self.low.x, self.high.y)]
    }

    /// Square of the distance to its nearest point.
    pub(super) fn distance_squared(&self, place: Vector) -> f64 {
        let beyond = |at: f64, low: f64, high: f64| (low - at).max(at - high).max(0.0);
        vector(beyond(place.x, self.low.x, self.high.x), beyond(place.y, self.low.y, self.high.y)).square()
    }
}

/// The ground of a map.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Terrain {
    pub(super) width: usize,
    pub(super) height: usize,
    /// `[height, width]`
    blocked: Vec<bool>,
    pub(super) blocks: Vec<Block>,
}

impl Terrain {
    /// All cells are `usual`, those of the rectangles are not. With `closed`, the border of the map
    /// is a wall as well.
    ///
    /// # Errors
    /// If a rectangle leaves the map.
    pub(super) fn new(
        [width, height]: [usize; 2],
        usual: bool,
        rectangles: &[Rectangle],
        closed: bool,
    ) -> Result<Self, String> {
        let mut blocked = vec![usual; width * height];
        for &[left, bottom, wide, high] in rectangles {
            let fits =
                |start: usize, length: usize, side| start.checked_add(length).is_some_and(|end| end <= side);
            if !fits(left, wide, width) || !fits(bottom, high, height) {
                return Err(format!(
                    "rectangle [{left}, {bottom}, {wide}, {high}] leaves the map of {width}x{height} cells; \
                     give [left, bottom, width, height]"
                ));
            }
            for y in bottom..bottom + high {
                blocked[y * width + left..][..wide].fill(!usual);
            }
        }
        let mut terrain = Self { width, height, blocked, blocks: Vec::new() };
        terrain.blocks = terrain.merge();
        if closed {
            let (w, h) = (width as f64, height as f64);
            let block = |x, y, right, top| Block { low: vector(x, y), high: vector(right, top) };
            terrain.blocks.extend([
                block(-1.0, -1.0, w + 1.0, 0.0),
                block(w, -1.0, w + 1.0, h + 1.0),
                block(-1.0, h, w + 1.0, h + 1.0),
                block(-1.0, -1.0, 0.0, h + 1.0),
            ]);
        }
        Ok(terrain)
    }

    /// Whether the cell at these whole coordinates exists and is open.
    pub(super) fn is_open(&self, x: i64, y: i64) -> bool {
        let inside = |at: i64, side: usize| usize::try_from(at).ok().filter(|at| *at < side);
        match (inside(x, self.width), inside(y, self.height)) {
            (Some(x), Some(y)) => !self.blocked[y * self.width + x],
            _ => false,
        }
    }

    /// Whether a row has a cell that is open.
    pub(super) fn has_open_row(&self, y: usize) -> bool {
        self.blocked[y * self.width..][..self.width].contains(&false)
    }

    /// Row by row upward: from the first blocked cell that no block holds yet, as far right as cells
    /// are blocked, then as far up as the whole run is.
    fn merge(&self) -> Vec<Block> {
        let is = |x: usize, y: usize| self.blocked[y * self.width + x];
        let mut held = vec![false; self.blocked.len()];
        let mut blocks = Vec::new();
        for y in 0..self.height {
            for x in 0..self.width {
                if !is(x, y) || held[y * self.width + x] {
                    continue;
                }
                let right = (x..self.width).find(|&x| !is(x, y)).unwrap_or(self.width);
                let whole = |row: &usize| (x..right).all(|x| is(x, *row));
                let top = (y..self.height).find(|row| !whole(row)).unwrap_or(self.height);
                for row in y..top {
                    held[row * self.width + x..][..right - x].fill(true);
                }
                let corner = |x: usize, y: usize| vector(x as f64, y as f64);
                blocks.push(Block { low: corner(x, y), high: corner(right, top) });
            }
        }
        blocks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(x: f64, y: f64, wide: f64, high: f64) -> Block {
        Block { low: vector(x, y), high: vector(x + wide, y + high) }
    }

    #[test]
    fn rectangles_become_blocks() {
        let corridor = Terrain::new([32, 32], false, &[[0, 0, 32, 8], [0, 24, 32, 8]], false).expect("fits");
        assert_eq!(corridor.blocks, [block(0.0, 0.0, 32.0, 8.0), block(0.0, 24.0, 32.0, 8.0)]);
        assert!(corridor.is_open(0, 8) && !corridor.is_open(0, 7) && !corridor.is_open(-1, 8));
        let ring = [[1, 1, 30, 2], [1, 3, 2, 28], [29, 3, 2, 28], [3, 29, 28, 2]];
        let ring = Terrain::new([32, 32], false, &ring, false).expect("fits");
        let want = [
            block(1.0, 1.0, 30.0, 2.0),
            block(1.0, 3.0, 2.0, 28.0),
            block(29.0, 3.0, 2.0, 28.0),
            block(3.0, 29.0, 28.0, 2.0),
        ];
        assert_eq!(ring.blocks, want);
    }

    #[test]
    fn a_rectangle_outside_is_refused() {
        let refused = Terrain::new([32, 32], false, &[[30, 0, 3, 1]], true).expect_err("refused");
        assert!(refused.starts_with("rectangle [30, 0, 3, 1] leaves the map of 32x32 cells"), "{refused}");
        assert!(Terrain::new([32, 32], false, &[[usize::MAX, 0, 3, 1]], true).is_err());
    }

    #[test]
    fn distance_is_to_the_nearest_point() {
        let block = block(0.0, 0.0, 2.0, 2.0);
        for (x, y, want) in [(1.0, 1.0, 0.0), (3.0, 1.0, 1.0), (-3.0, -4.0, 25.0), (1.0, 5.0, 9.0)] {
            assert!((block.distance_squared(vector(x, y)) - want).abs() < 1e-12);
        }
    }
}
