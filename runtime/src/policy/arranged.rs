//! Weights in the order in which a workstation's processor reads them fastest.

use super::Policy;

impl<'m> Policy<'m> {
    /// Floats that [`Policy::arranged`] takes on this processor; 0 where nothing is gained.
    pub fn arranged_len(&self) -> usize {
        #[cfg(target_arch = "x86_64")]
        if crate::kernel::work::wide() {
            return self.model.graph.arranged_len();
        }
        0
    }

    /// The same policy, whose steps take less time on this processor: it reads a copy of its large matrices, made in
    /// `room`. The bits are the same. For [`Policy::act`]; in [`Policy::act_batch`] what runs on one agent after the other
    /// gains.
    ///
    /// `room`: `arranged_len` floats; matrices that find no room stay where they are. On x86-64 with AVX2 or AVX-512
    /// (found out with feature `std`, else what the program is compiled for) 16 or 32 rows are multiplied at once;
    /// elsewhere nothing changes. Verify first: the CRC is that of the file, and of the copy only the recorded answers
    /// tell.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let (file, mut memory, mut scratch) = (Vec::new(), vec![0.0; 64], vec![0.0; 512]);
    /// let policy = ddn_runtime::Model::open(&file)?.verify(&mut memory, &mut scratch)?;
    /// let mut room = vec![0.0; policy.arranged_len()];
    /// let policy = policy.arranged(&mut room);
    /// # let _ = policy;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn arranged(self, room: &'m mut [f32]) -> Self {
        #[cfg(target_arch = "x86_64")]
        if crate::kernel::work::wide() {
            let mut arranged = self;
            arranged.model.graph.arrange(room);
            return arranged;
        }
        let _ = room;
        self
    }
}
