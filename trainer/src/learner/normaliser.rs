//! Observations and states brought to mean 0 and deviation 1, by what was seen so far.
//!
//! ```text
//! x' = (x - mean) · scale,   scale = 1 / max(deviation, |farthest value from the mean| / 10)
//! ```
//!
//! Nothing that was seen goes beyond 10, and the map stays linear, so that the exporter can move it
//! into the first layers: a device is given raw observations and never divides. An element that was
//! always the same is only moved to 0. All agents share one set of numbers.

use crate::env::EnvSpec;
use crate::nn::Sparse;
use crate::nn::params::Values;
use crate::replay::{Episode, PackedRows};

/// How far from the mean a value that was seen may be, in units of the scale.
const FARTHEST: f64 = 10.0;

/// Running moments of rows of one width.
#[derive(Clone, Debug, PartialEq)]
pub struct Moments {
    count: u64,
    mean: Vec<f64>,
    /// Sums of squared distances from the mean.
    squares: Vec<f64>,
    least: Vec<f32>,
    greatest: Vec<f32>,
}

impl Moments {
    fn new(width: usize) -> Self {
        Self {
            count: 0,
            mean: vec![0.0; width],
            squares: vec![0.0; width],
            least: vec![f32::INFINITY; width],
            greatest: vec![f32::NEG_INFINITY; width],
        }
    }

    /// Takes in one row (Welford's update).
    fn add(&mut self, row: &[f32]) {
        self.count += 1;
        for (k, &value) in row.iter().enumerate() {
            let away = f64::from(value) - self.mean[k];
            self.mean[k] += away / self.count as f64;
            self.squares[k] += away * (f64::from(value) - self.mean[k]);
            self.least[k] = self.least[k].min(value);
            self.greatest[k] = self.greatest[k].max(value);
        }
    }

    /// Mean and scale of each element; 0 and 1 before anything was seen.
    fn affine(&self) -> Affine {
        if self.count == 0 {
            return Affine { mean: vec![0.0; self.mean.len()], scale: vec![1.0; self.mean.len()] };
        }
        let scale = (0..self.mean.len()).map(|k| {
            let mean = self.mean[k];
            let farthest = (f64::from(self.greatest[k]) - mean).max(mean - f64::from(self.least[k]));
            let unit = (self.squares[k] / self.count as f64).sqrt().max(farthest / FARTHEST);
            // Rounding alone can make a constant differ from its mean.
            if self.least[k] < self.greatest[k] { (1.0 / unit) as f32 } else { 1.0 }
        });
        Affine { scale: scale.collect(), mean: self.mean.iter().map(|&mean| mean as f32).collect() }
    }

    /// As floats that give back every bit.
    fn values(&self, name: &str, into: &mut Values) {
        let width = self.mean.len();
        let halves = vec![(self.count >> 24) as f32, (self.count & 0xff_ffff) as f32];
        into.insert(format!("{name}.count"), (vec![2], halves));
        into.insert(format!("{name}.mean"), (vec![3, width], split(&self.mean)));
        into.insert(format!("{name}.squares"), (vec![3, width], split(&self.squares)));
        into.insert(format!("{name}.range"), (vec![2, width], [&*self.least, &*self.greatest].concat()));
    }

    fn of_values(name: &str, width: usize, values: &Values) -> Option<Self> {
        let part = |part: &str, rows: usize| {
            values
                .get(&format!("{name}.{part}"))
                .map(|(_, data)| data)
                .filter(|data| data.len() == rows * width)
        };
        let (_, count) = values.get(&format!("{name}.count"))?;
        let [high, low] = count[..] else { return None };
        let (least, greatest) = part("range", 2)?.split_at(width);
        Some(Self {
            count: ((high as u64) << 24) + low as u64,
            mean: joined(part("mean", 3)?),
            squares: joined(part("squares", 3)?),
            least: least.to_vec(),
            greatest: greatest.to_vec(),
        })
    }
}

/// Where the parts of a number's bits begin, and which bits each has; a float holds 24.
const PARTS: [(u32, u64); 3] = [(42, 0x3f_ffff), (20, 0x3f_ffff), (0, 0xf_ffff)];

/// The bits of every number as three whole numbers that floats hold.
fn split(numbers: &[f64]) -> Vec<f32> {
    let part = |&(begin, bits): &(u32, u64)| {
        numbers.iter().map(move |number| ((number.to_bits() >> begin) & bits) as f32)
    };
    PARTS.iter().flat_map(part).collect()
}

fn joined(parts: &[f32]) -> Vec<f64> {
    let width = parts.len() / 3;
    let whole = |k: usize| {
        let bits = parts[k..].iter().step_by(width).zip(PARTS);
        bits.fold(0, |whole, (&part, (begin, _))| whole | ((part as u64) << begin))
    };
    (0..width).map(|k| f64::from_bits(whole(k))).collect()
}

/// A mean and a scale for each element of a row.
#[derive(Clone, Debug, PartialEq)]
pub struct Affine {
    /// What is subtracted.
    pub mean: Vec<f32>,
    /// What the difference is multiplied by.
    pub scale: Vec<f32>,
}

impl Affine {
    /// The first columns of the rows that `keep` names, brought to mean and scale; the rest as it is.
    fn apply(&self, rows: &Sparse, keep: impl Fn(usize) -> bool) -> Sparse {
        rows.with_dense(self.mean.len(), keep, |column, value| {
            (value - self.mean[column]) * self.scale[column]
        })
    }
}

/// The moments of observations and states, and what they come to.
#[derive(Clone, Debug, PartialEq)]
pub struct Normaliser {
    obs: Moments,
    state: Moments,
    to_obs: Affine,
    to_state: Affine,
}

impl Normaliser {
    /// Has seen nothing, and changes nothing.
    #[must_use]
    pub fn new(spec: &EnvSpec) -> Self {
        Self::of(Moments::new(spec.obs_dim), Moments::new(spec.state_dim))
    }

    fn of(obs: Moments, state: Moments) -> Self {
        let (to_obs, to_state) = (obs.affine(), state.affine());
        Self { obs, state, to_obs, to_state }
    }

    /// Takes in every frame of an episode.
    pub fn observe(&mut self, episode: &Episode) {
        let each = |rows: &PackedRows, moments: &mut Moments| {
            let width = moments.mean.len();
            let mut dense = vec![0.0; rows.width()];
            for t in 0..=episode.len() {
                dense.fill(0.0);
                rows.for_each(t, |column, value| dense[column] = value);
                dense.chunks_exact(width.max(1)).for_each(|row| moments.add(row));
            }
        };
        each(&episode.obs, &mut self.obs);
        each(&episode.state, &mut self.state);
        (self.to_obs, self.to_state) = (self.obs.affine(), self.state.affine());
    }

    /// What an observation is brought to.
    #[must_use]
    pub fn obs(&self) -> &Affine {
        &self.to_obs
    }

    /// Agent inputs `[R, I]` with their observations brought to mean and scale; rows of padding, which
    /// are empty, stay so.
    #[must_use]
    pub fn inputs(&self, inputs: &Sparse) -> Sparse {
        self.to_obs.apply(inputs, |row| !inputs.row(row).0.is_empty())
    }

    /// States `[R, S]`, those that `exists` names.
    #[must_use]
    pub fn states(&self, states: &Sparse, exists: impl Fn(usize) -> bool) -> Sparse {
        self.to_state.apply(states, exists)
    }

    /// Everything, as floats that give back every bit.
    #[must_use]
    pub fn values(&self) -> Values {
        let mut values = Values::new();
        self.obs.values("obs", &mut values);
        self.state.values("state", &mut values);
        values
    }

    /// The inverse of [`Self::values`]; `None` where they are of other widths.
    #[must_use]
    pub fn of_values(spec: &EnvSpec, values: &Values) -> Option<Self> {
        let obs = Moments::of_values("obs", spec.obs_dim, values)?;
        Some(Self::of(obs, Moments::of_values("state", spec.state_dim, values)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::{Draw, stream};

    fn spec() -> EnvSpec {
        EnvSpec {
            name: "x".into(),
            n_agents: 2,
            actions: vec!["a".into(), "b".into()],
            obs_dim: 3,
            state_dim: 2,
            teacher_dim: 0,
            episode_limit: 50,
            obs_layout: "x".into(),
            best_return: None,
        }
    }

    /// Distances in metres, a pressure in pascals, a constant.
    fn episode(steps: usize) -> Episode {
        let (spec, mut rng) = (spec(), stream(1, "normaliser"));
        let mut episode = Episode::new(&spec);
        for t in 0..=steps {
            let mut frame = spec.frame();
            for row in frame.obs.chunks_exact_mut(3) {
                row.copy_from_slice(&[rng.unit() - 0.5, 101_325.0 + 50.0 * rng.unit(), 7.0]);
            }
            frame.state.copy_from_slice(&[rng.unit(), 0.0]);
            frame.available.fill(true);
            episode.push_frame(&frame);
            if t < steps {
                episode.push_step(&[0, 1], 1.0);
            }
        }
        episode
    }

    #[test]
    fn what_was_seen_has_mean_0_and_deviation_1() {
        let mut normaliser = Normaliser::new(&spec());
        let untouched = Sparse::from_dense(7, &[1.0, 2.0, 3.0, 0.0, 1.0, 1.0, 0.0]);
        let dense = |rows: &Sparse| -> Vec<f32> {
            rows.to_tensor(candle_core::DType::F32).unwrap().flatten_all().unwrap().to_vec1().unwrap()
        };
        assert_eq!(dense(&normaliser.inputs(&untouched)), dense(&untouched));
        let episode = episode(400);
        normaliser.observe(&episode);
        let rows: Vec<f32> = (0..=400)
            .flat_map(|t| {
                let mut row = [0.0; 6];
                episode.obs.for_each(t, |column, value| row[column] = value);
                [&row[..3], &[1.0, 0.0, 0.0, 1.0], &row[3..], &[0.0, 1.0, 1.0, 0.0]].concat()
            })
            .collect();
        let rows = dense(&normaliser.inputs(&Sparse::from_dense(7, &rows)));
        for column in 0..2 {
            let values: Vec<f64> = rows.iter().skip(column).step_by(7).map(|&x| f64::from(x)).collect();
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            let square = values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / values.len() as f64;
            assert!(mean.abs() < 1e-3 && (square - 1.0).abs() < 1e-3, "{column}: {mean} {square}");
        }
        // The constant is moved to 0, actions and ids are left alone, padding stays empty.
        assert!(
            rows.chunks_exact(7)
                .all(|row| row[2].abs() < 1e-6 && (row[3..].iter().sum::<f32>() - 2.0).abs() < 1e-6)
        );
        let padding = Sparse::from_dense(7, &[0.0; 7]);
        assert_eq!(normaliser.inputs(&padding).entries(), 0);
        let states = Sparse::from_dense(2, &[0.5, 0.0, 0.0, 0.0]);
        assert_eq!(normaliser.states(&states, |row| row == 0).row(1).0.len(), 0);
    }

    #[test]
    fn a_rare_value_is_held_to_ten() {
        let mut moments = Moments::new(1);
        (0..10_000).for_each(|k| moments.add(&[if k == 500 { 1.0 } else { 0.0 }]));
        let Affine { mean, scale } = moments.affine();
        let rare = (1.0 - mean[0]) * scale[0];
        assert!((rare - 10.0).abs() < 1e-4, "{rare}");
    }

    #[test]
    fn nothing_is_lost_in_a_checkpoint() {
        let mut normaliser = Normaliser::new(&spec());
        assert_eq!(Normaliser::of_values(&spec(), &normaliser.values()), Some(normaliser.clone()));
        normaliser.observe(&episode(30));
        let values = normaliser.values();
        assert_eq!(Normaliser::of_values(&spec(), &values), Some(normaliser));
        // Nor of numbers that no float holds.
        let odd = [1e300, -1e-300, f64::MIN_POSITIVE, 0.1, -0.0, f64::MAX];
        let bits = |numbers: &[f64]| numbers.iter().map(|number| number.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&joined(&split(&odd))), bits(&odd));
        let wider = EnvSpec { obs_dim: 4, ..spec() };
        assert_eq!(Normaliser::of_values(&wider, &values), None);
    }
}
