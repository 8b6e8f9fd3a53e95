//! The description of an environment.

use crate::env::EnvSpec;
use crate::error::EnvError;

/// Sizes, names and texts of a description.
///
/// # Errors
/// [`EnvError::Contract`] names the field.
pub(in crate::env) fn check_spec(spec: &EnvSpec) -> Result<(), EnvError> {
    let breach = |what: &str| Err(EnvError::Contract(format!("{}: {what}", spec.name)));
    if spec.name.is_empty() {
        return breach("spec.name is empty; give the name in the registry");
    }
    for (field, size) in [
        ("n_agents", spec.n_agents),
        ("actions", spec.n_actions()),
        ("obs_dim", spec.obs_dim),
        ("state_dim", spec.state_dim),
        ("episode_limit", spec.episode_limit),
    ] {
        if size == 0 {
            return breach(&format!("spec.{field} is 0 or empty; there must be at least 1"));
        }
    }
    for (k, name) in spec.actions.iter().enumerate() {
        if name.trim().is_empty() || name.contains(',') || spec.actions[..k].contains(name) {
            return breach(&format!(
                "spec.actions[{k}] is {name:?}; names must differ, none blank, none with a comma"
            ));
        }
    }
    if spec.obs_layout.trim().is_empty() {
        return breach("spec.obs_layout is empty; say how an observation is laid out");
    }
    if spec.best_return.is_some_and(|best| !best.is_finite()) {
        return breach("spec.best_return is not finite; give a number or None");
    }
    Ok(())
}
