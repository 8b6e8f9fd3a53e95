//! Which inputs of a layer come together: what one weight loses by rounding, the others make up for.
//!
//! The weights of a row are rounded one after the other; each time, those still to come, and the bias, move to
//! where the recorded sums change least (the second-order rule of Frantar et al., *GPTQ*, 2023).

/// Sums of x xᵀ over recorded steps, where the input of the bias, 1, follows x.
#[derive(Clone, Debug)]
pub(super) struct Gram {
    width: usize,
    /// `[width + 1, width + 1]`, the lower triangle.
    sums: Vec<f64>,
}

impl Gram {
    /// For inputs of `width` numbers.
    pub(super) fn new(width: usize) -> Self {
        Self { width, sums: vec![0.0; (width + 1) * (width + 1)] }
    }

    /// Adds a step on which the layer saw `factor · x`.
    pub(super) fn add(&mut self, x: &[f32], factor: f32) {
        let seen = x.iter().zip(0..self.width).filter(|(x, _)| **x != 0.0);
        let mut seen: Vec<(f64, usize)> = seen.map(|(x, i)| (f64::from(*x) * f64::from(factor), i)).collect();
        seen.push((1.0, self.width));
        for (end, &(x, row)) in seen.iter().enumerate() {
            for &(y, column) in &seen[..=end] {
                self.sums[row * (self.width + 1) + column] += x * y;
            }
        }
    }

    /// The rule for `columns` of the weights, each the index of an input; with `bias`, the bias moves, too. The
    /// diagonal is lifted by the share `lift` of its mean: the more, the less weights make up for each other.
    pub(super) fn rule(&self, columns: &[usize], bias: bool, lift: f64) -> Rule {
        let mut order: Vec<usize> = (0..columns.len()).collect();
        let at = |row: usize, column: usize| self.sums[row.max(column) * (self.width + 1) + row.min(column)];
        let power = |place: &usize| at(columns[*place], columns[*place]);
        order.sort_by(|a, b| power(b).total_cmp(&power(a)));
        let mut inputs: Vec<usize> = order.iter().map(|place| columns[*place]).collect();
        if bias {
            inputs.push(self.width);
        }
        let n = inputs.len();
        let mean = inputs.iter().map(|input| at(*input, *input)).sum::<f64>() / n.max(1) as f64;
        let lift = if mean > 0.0 { lift * mean } else { 1.0 };
        let mut matrix = vec![0.0; n * n];
        for (row, a) in inputs.iter().enumerate() {
            for (column, b) in inputs.iter().enumerate() {
                matrix[row * n + column] = at(*a, *b) + if row == column { lift } else { 0.0 };
            }
        }
        let lower = cholesky(&inverse(&cholesky(&matrix, n), n), n);
        Rule { order, bias, lower, n }
    }
}

/// In which order the weights of a row are rounded, and who makes up for what.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    order: Vec<usize>,
    bias: bool,
    /// `[n, n]`: column i says how those after i move.
    lower: Vec<f64>,
    n: usize,
}

impl Rule {
    /// `weights` rounded by `round`, and by how much the bias moves.
    pub(super) fn apply(&self, weights: &[f64], round: impl Fn(f64) -> i8) -> (Vec<i8>, f64) {
        let mut values = vec![0; weights.len()];
        let mut moved: Vec<f64> = self.order.iter().map(|place| weights[*place]).collect();
        moved.resize(self.n, 0.0);
        for (step, place) in self.order.iter().enumerate() {
            values[*place] = round(moved[step]);
            let lost = (moved[step] - f64::from(values[*place])) / self.lower[step * self.n + step];
            for (later, moved) in moved.iter_mut().enumerate().skip(step + 1) {
                *moved -= lost * self.lower[later * self.n + step];
            }
        }
        (values, if self.bias { moved.last().copied().unwrap_or(0.0) } else { 0.0 })
    }
}

/// L of A = L Lᵀ, row-major; A is positive definite.
fn cholesky(a: &[f64], n: usize) -> Vec<f64> {
    let mut l = vec![0.0; n * n];
    for i in 0..n {
        for j in 0..=i {
            let dot: f64 = (0..j).map(|k| l[i * n + k] * l[j * n + k]).sum();
            let rest = a[i * n + j] - dot;
            l[i * n + j] = if i == j { rest.max(f64::MIN_POSITIVE).sqrt() } else { rest / l[j * n + j] };
        }
    }
    l
}

/// (L Lᵀ)⁻¹, row-major.
fn inverse(l: &[f64], n: usize) -> Vec<f64> {
    // Columns of L⁻¹, then L⁻ᵀ L⁻¹.
    let mut lower = vec![0.0; n * n];
    for column in 0..n {
        for row in column..n {
            let dot: f64 = (column..row).map(|k| l[row * n + k] * lower[k * n + column]).sum();
            let one = if row == column { 1.0 } else { 0.0 };
            lower[row * n + column] = (one - dot) / l[row * n + row];
        }
    }
    let mut made = vec![0.0; n * n];
    for i in 0..n {
        for j in 0..n {
            made[i * n + j] = (i.max(j)..n).map(|k| lower[k * n + i] * lower[k * n + j]).sum();
        }
    }
    made
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Inputs that come in fixed proportions, and an offset.
    fn steps() -> Vec<[f32; 4]> {
        (0..50)
            .map(|i| {
                let (a, b) = (((i * 7) % 11) as f32 * 0.1, ((i * 5) % 13) as f32 * 0.1);
                [a, b, a + b, 1.0 + 0.5 * a]
            })
            .collect()
    }

    /// The mean square of what rounding changes about the sums.
    fn error(weights: &[f64], values: &[i8], shift: f64) -> f64 {
        let of = |x: &[f32; 4]| {
            let pairs = x.iter().zip(weights.iter().zip(values));
            pairs.map(|(x, (w, v))| f64::from(*x) * (f64::from(*v) - w)).sum::<f64>() + shift
        };
        steps().iter().map(|x| of(x).powi(2)).sum::<f64>() / steps().len() as f64
    }

    #[test]
    fn recorded_sums_change_less_than_by_rounding_each_weight_alone() {
        let mut gram = Gram::new(4);
        steps().iter().for_each(|x| gram.add(x, 1.0));
        let weights = [3.4, -2.6, 7.45, 5.4];
        let round = |w: f64| w.round() as i8;
        let alone: Vec<i8> = weights.iter().map(|w| round(*w)).collect();
        let mut last = error(&weights, &alone, 0.0);
        for bias in [false, true] {
            let (values, shift) = gram.rule(&[0, 1, 2, 3], bias, 0.01).apply(&weights, round);
            assert_eq!(bias, shift != 0.0);
            let now = error(&weights, &values, shift);
            assert!(now < 0.5 * last, "{now} is not far below {last}");
            last = now;
        }
    }

    #[test]
    fn what_was_never_seen_is_rounded_to_the_nearest() {
        let weights = [0.4, 1.6, -2.7];
        let (values, shift) = Gram::new(3).rule(&[0, 1, 2], true, 0.01).apply(&weights, |w| w.round() as i8);
        assert_eq!((values, shift), (vec![0, 2, -3], 0.0));
    }

    #[test]
    fn an_inverse_undoes_its_matrix() {
        let a = [4.0, 2.0, 0.4, 2.0, 5.0, 1.0, 0.4, 1.0, 3.0];
        let inverse = inverse(&cholesky(&a, 3), 3);
        for (i, j) in (0..9).map(|k| (k / 3, k % 3)) {
            let product: f64 = (0..3).map(|k| a[i * 3 + k] * inverse[k * 3 + j]).sum();
            let want = if i == j { 1.0 } else { 0.0 };
            assert!((product - want).abs() < 1e-12, "{i}, {j}: {product}");
        }
    }
}
