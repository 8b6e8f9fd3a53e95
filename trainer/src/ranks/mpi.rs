//! Ranks of MPI: OpenMPI, MPICH, and whatever else `mpicc` compiles for.

use std::sync::Arc;

use mpi::Threading;
use mpi::datatype::PartitionMut;
use mpi::environment::Universe;
use mpi::traits::{Communicator, CommunicatorCollectives};

use super::Link;
use crate::error::RankError;

/// All processes that the launcher started. MPI ends, once all have come as far, where this is dropped.
struct World {
    universe: Universe,
    rank: usize,
    count: usize,
}

/// Joins the others; `name` is the variable by which the launcher showed.
pub(super) fn join(name: &'static str) -> Result<Arc<dyn Link>, RankError> {
    // Only the thread that trains speaks to the others.
    let Some((universe, threading)) = mpi::initialize_with_threading(Threading::Funneled) else {
        return Err(RankError::Refused { name });
    };
    if threading < Threading::Funneled {
        return Err(RankError::Refused { name });
    }
    let world = universe.world();
    let (rank, count) = (world.rank() as usize, world.size() as usize);
    Ok(Arc::new(World { universe, rank, count }))
}

impl Link for World {
    fn rank(&self) -> usize {
        self.rank
    }

    fn count(&self) -> usize {
        self.count
    }

    fn all_gather(&self, mine: &[u8]) -> Result<Vec<Vec<u8>>, RankError> {
        let world = self.universe.world();
        let mut lengths = vec![0_u64; self.count];
        world.all_gather_into(&(mine.len() as u64), &mut lengths[..]);
        let total: u64 = lengths.iter().sum();
        // MPI counts in 32 bits.
        if i32::try_from(total).is_err() {
            return Err(RankError::Message(format!("{total} bytes at once are too many")));
        }
        let mut all = vec![0_u8; total as usize];
        let counts: Vec<i32> = lengths.iter().map(|&length| length as i32).collect();
        let starts: Vec<i32> =
            counts.iter().scan(0, |end, count| Some(std::mem::replace(end, *end + count))).collect();
        world.all_gather_varcount_into(mine, &mut PartitionMut::new(&mut all[..], counts, starts));
        let mut rest = all.as_slice();
        let part = |&length: &u64| {
            let (part, others) = rest.split_at(length as usize);
            rest = others;
            part.to_vec()
        };
        Ok(lengths.iter().map(part).collect())
    }

    fn abort(&self, code: u8) -> ! {
        self.universe.world().abort(i32::from(code))
    }
}
