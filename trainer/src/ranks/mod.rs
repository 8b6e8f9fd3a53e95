//! One run on several processes, as `mpirun` starts them: who owns which environments and episodes,
//! and how what each found comes together.
//!
//! ```text
//! environment e ─► shard e mod S ─► rank (e mod S) mod P        episodes, gradients ─► all ranks, by shard
//! ```
//!
//! Everything is defined over the S shards of `learner.shards`, nothing over the P ranks: what is drawn
//! and in which order sums are made is the same for every P from 1 to S. A [`Link`] only moves bytes.

#[cfg(feature = "mpi")]
mod mpi;
mod play;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;
use serde::de::DeserializeOwned;

pub use play::play_together;

use crate::error::{ConfigError, RankError, TrainError};
use crate::signal::{Signals, Stop};

/// What carries bytes between the processes of a run.
pub trait Link: Send + Sync {
    /// Which one this is, from 0.
    fn rank(&self) -> usize;

    /// P, how many there are.
    fn count(&self) -> usize;

    /// What every rank gave, in order of rank. All must call it, and all return with the same.
    ///
    /// # Errors
    /// If another rank is gone.
    fn all_gather(&self, mine: &[u8]) -> Result<Vec<Vec<u8>>, RankError>;

    /// Ends every rank at once, because this one cannot go on.
    fn abort(&self, code: u8) -> !;
}

/// A process by itself.
struct Alone;

impl Link for Alone {
    fn rank(&self) -> usize {
        0
    }

    fn count(&self) -> usize {
        1
    }

    fn all_gather(&self, mine: &[u8]) -> Result<Vec<Vec<u8>>, RankError> {
        Ok(vec![mine.to_vec()])
    }

    fn abort(&self, code: u8) -> ! {
        std::process::exit(i32::from(code))
    }
}

/// A process that no launcher started with others.
#[must_use]
pub fn alone() -> Arc<dyn Link> {
    Arc::new(Alone)
}

/// The processes that the launcher of this one started, or this one alone.
///
/// # Errors
/// If there are others, and this program was built without the feature `mpi`.
pub fn launched() -> Result<Arc<dyn Link>, RankError> {
    // How many processes the launchers of OpenMPI, of MPICH and its kin, and of Slurm have started.
    const SIZES: [&str; 3] = ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS"];
    let size = |name: &str| std::env::var(name).ok()?.parse::<usize>().ok();
    let many =
        SIZES.into_iter().find_map(|name| size(name).filter(|&size| size > 1).map(|size| (name, size)));
    #[cfg(feature = "mpi")]
    {
        // Tells a rank and no size.
        let launchers = ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "PMIX_RANK"];
        match launchers.into_iter().find(|name| std::env::var_os(name).is_some()) {
            Some(name) => mpi::join(name, many),
            None => Ok(alone()),
        }
    }
    #[cfg(not(feature = "mpi"))]
    many.map_or_else(|| Ok(alone()), |(name, _)| Err(RankError::NotBuilt { name }))
}

/// The ranks of one run, each with its share of the shards.
pub struct Team {
    link: Arc<dyn Link>,
    shards: usize,
    /// Exchanges made, which every message carries.
    made: AtomicU64,
}

impl Team {
    /// Shares `shards` out.
    ///
    /// # Errors
    /// If there are more ranks than shards.
    pub fn new(link: Arc<dyn Link>, shards: usize) -> Result<Self, ConfigError> {
        let ranks = link.count();
        if ranks > shards {
            let reason = format!(
                "is {shards}, and there are {ranks} ranks, each of which wants one: set it to {ranks} or more (it \
                 decides the bits), or start fewer ranks"
            );
            return Err(ConfigError::value("learner.shards", reason));
        }
        Ok(Self { link, shards, made: AtomicU64::new(0) })
    }

    /// The processes, for another run of the same.
    #[must_use]
    pub fn link(&self) -> Arc<dyn Link> {
        Arc::clone(&self.link)
    }

    /// S
    #[must_use]
    pub fn shards(&self) -> usize {
        self.shards
    }

    /// Whether this rank writes the files.
    #[must_use]
    pub fn leads(&self) -> bool {
        self.link.rank() == 0
    }

    /// Whether there is no other rank.
    #[must_use]
    pub fn is_alone(&self) -> bool {
        self.link.count() == 1
    }

    /// Whether an environment of this index, or an episode, belongs to a shard of this rank.
    #[must_use]
    pub fn owns(&self, index: u64) -> bool {
        (index % self.shards as u64) as usize % self.link.count() == self.link.rank()
    }

    /// What all ranks have found, in order of the indices that stand beside it.
    ///
    /// # Errors
    /// If a rank is gone, or has come to something else than the others.
    pub fn share<T: Serialize + DeserializeOwned>(
        &self,
        mine: Vec<(u64, T)>,
    ) -> Result<Vec<(u64, T)>, RankError> {
        if self.is_alone() {
            return Ok(mine);
        }
        let made = self.made.fetch_add(1, Ordering::Relaxed);
        let bytes =
            postcard::to_stdvec(&(made, mine)).map_err(|error| RankError::Message(error.to_string()))?;
        let mut all = Vec::new();
        for (rank, bytes) in self.link.all_gather(&bytes)?.iter().enumerate() {
            let (theirs, found): (u64, Vec<(u64, T)>) =
                postcard::from_bytes(bytes).map_err(|_| RankError::OutOfStep { rank })?;
            if theirs != made {
                return Err(RankError::OutOfStep { rank });
            }
            all.extend(found);
        }
        all.sort_by_key(|(index, _)| *index);
        Ok(all)
    }

    /// What the rank that leads says.
    ///
    /// # Errors
    /// As [`Team::share`].
    pub fn told<T: Serialize + DeserializeOwned>(&self, mine: T) -> Result<T, RankError> {
        let mine = if self.leads() { vec![(0, mine)] } else { Vec::new() };
        let first = self.share(mine)?.into_iter().next();
        Ok(first.ok_or(RankError::OutOfStep { rank: 0 })?.1)
    }

    /// Refuses a `what` that is not the same on all ranks.
    ///
    /// # Errors
    /// Names the first that differs.
    pub fn must_agree(&self, what: &str, mine: &[u8]) -> Result<(), RankError> {
        let all = self.share(vec![(self.link.rank() as u64, mine.to_vec())])?;
        match all.iter().find(|(_, theirs)| *theirs != all[0].1) {
            Some((rank, _)) => Err(RankError::Differs { what: what.to_owned(), rank: *rank as usize }),
            None => Ok(()),
        }
    }

    /// Whether any rank was asked to stop, and whether any was asked to save.
    ///
    /// # Errors
    /// As [`Team::share`].
    pub fn asked(&self, signals: &Signals) -> Result<(Option<Stop>, bool), RankError> {
        let (mine, save) = (signals.stop(), signals.take_save());
        if self.is_alone() {
            return Ok((mine, save));
        }
        let code = mine.map_or(0, Stop::exit_code);
        let all = self.share(vec![(self.link.rank() as u64, (code, save))])?;
        let stop = all.iter().map(|(_, (code, _))| *code).max().and_then(Stop::of_exit_code);
        Ok((stop, all.iter().any(|(_, (_, save))| *save)))
    }
}

impl From<RankError> for TrainError {
    fn from(error: RankError) -> Self {
        Self::Learn(error.into())
    }
}
