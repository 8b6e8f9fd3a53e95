//! Ranks of MPI: OpenMPI, MPICH, and whatever else `mpicc` compiles for.

use std::sync::Arc;

use mpi::Threading;
use mpi::datatype::PartitionMut;
use mpi::environment::Universe;
use mpi::request::{Request, Scope};
use mpi::traits::{Communicator, CommunicatorCollectives};

use super::Link;
use crate::error::RankError;

/// All processes that the launcher started. MPI ends, once all have come as far, where this is dropped.
struct World {
    universe: Universe,
    rank: usize,
    count: usize,
}

/// Joins the others; `name` is the variable by which the launcher showed, `many` one that tells how many
/// processes it has started.
pub(super) fn join(
    name: &'static str,
    many: Option<(&'static str, usize)>,
) -> Result<Arc<dyn Link>, RankError> {
    // Only the thread that trains speaks to the others.
    let Some((universe, threading)) = mpi::initialize_with_threading(Threading::Funneled) else {
        return Err(RankError::Refused { name });
    };
    if threading < Threading::Funneled {
        return Err(RankError::Refused { name });
    }
    let world = universe.world();
    let (rank, count) = (world.rank() as usize, world.size() as usize);
    // That of another MPI leaves every process by itself.
    if let Some((name, _)) = many.filter(|&(_, size)| size != count) {
        return Err(RankError::Refused { name });
    }
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
        let length = mine.len() as u64;
        mpi::request::scope(|scope| {
            wait(world.immediate_all_gather_into(scope, &length, &mut lengths[..]));
        });
        let total: u64 = lengths.iter().sum();
        // MPI counts in 32 bits.
        if i32::try_from(total).is_err() {
            return Err(RankError::Message(format!("{total} bytes at once are too many")));
        }
        let mut all = vec![0_u8; total as usize];
        let counts: Vec<i32> = lengths.iter().map(|&length| length as i32).collect();
        let starts: Vec<i32> =
            counts.iter().scan(0, |end, count| Some(std::mem::replace(end, *end + count))).collect();
        let mut parts = PartitionMut::new(&mut all[..], counts, starts);
        mpi::request::scope(|scope| wait(world.immediate_all_gather_varcount_into(scope, mine, &mut parts)));
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

/// Waits for the others and leaves the core to them: a blocking call of MPI may not.
fn wait<'a, D: ?Sized, S: Scope<'a>>(mut request: Request<'a, D, S>) {
    while let Err(open) = request.test() {
        request = open;
        std::thread::yield_now();
    }
}
