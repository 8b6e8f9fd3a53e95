//! Episodes of the trained teams, to look at.

use super::collection::{Collection, Group, Member, mean};
use super::html::escaped;
use crate::commands::evaluate;

/// At most so many episodes in a page.
const MOST: usize = 3;

/// Of each task the best algorithm, of that its best finished run.
fn chosen(collection: &Collection) -> Vec<(&Group, &Member)> {
    let score = |group: &Group| mean(group.returns(group.ships()).into_iter());
    let mut found = Vec::new();
    for task in collection.tasks() {
        let groups = collection.of_task(task).filter_map(|group| Some((score(group)?, group)));
        let Some((_, group)) = groups.max_by(|a, b| a.0.total_cmp(&b.0)) else { continue };
        let members =
            group.finished().filter_map(|member| Some((member.last_return(group.ships())?, member)));
        if let Some((_, member)) = members.max_by(|a, b| a.0.total_cmp(&b.0)) {
            found.push((group, member));
        }
    }
    found.truncate(MOST);
    found
}

/// Frames that hold a page each; a run that cannot be played says why instead.
pub(super) fn films(collection: &Collection, seed: u64) -> String {
    let mut out = String::new();
    for (group, member) in chosen(collection) {
        let title = format!("{} on {}, seed {}", group.label, group.task, member.name.seed);
        let source = format!("{} / {} / seed {}", group.task, group.label, member.name.seed);
        let made =
            evaluate::film(&member.dir, group.ships(), seed, source).and_then(|film| Ok(film.to_html()?));
        out += &match made {
            Ok(html) => format!(
                "<details class=\"film\" open><summary>{}</summary><iframe sandbox=\"allow-scripts\" loading=\"lazy\" \
                 title=\"{}\" srcdoc=\"{}\"></iframe></details>\n",
                escaped(&title),
                escaped(&title),
                escaped(&html)
            ),
            Err(error) => {
                format!("<p>{}: no replay, {}</p>\n", escaped(&title), escaped(&format!("{error:#}")))
            }
        };
    }
    out
}
