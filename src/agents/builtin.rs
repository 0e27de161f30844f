//! The built-in agent types, embedded from `types/`.

use std::sync::Arc;

use super::{AgentType, Origin};

macro_rules! files {
    ($($name:literal)*) => { [$(($name, include_str!(concat!("types/", $name, ".md")))),*] };
}

const FILES: [(&str, &str); 25] = files![
    "content_writer_creative" "content_writer_funny" "content_writer_educational" "content_writer_trendy"
    "content_writer_controversial"
    "frontend_developer" "backend_developer" "database_architect" "api_designer" "devops_engineer"
    "code_reviewer" "security_reviewer" "performance_reviewer" "accessibility_reviewer" "test_engineer"
    "documentation_writer"
    "agent_creator" "agent_design_reviewer" "agent_refiner" "agent_orchestrator"
    "travel_event_planner" "donut_care_coordinator" "pup_community_engager" "print_project_manager"
    "training_assistant"
];

/// All of them, by category.
#[expect(clippy::expect_used, reason = "the files are part of the program and a test reads each of them")]
pub(super) fn types() -> Vec<Arc<AgentType>> {
    FILES
        .into_iter()
        .map(|(name, text)| {
            let agent_type = AgentType::parse(text, name).expect("a built-in agent type is valid");
            Arc::new(agent_type.with_origin(Origin::BuiltIn))
        })
        .collect()
}

/// The one of that name.
pub(super) fn one(name: &str) -> Option<Arc<AgentType>> {
    types().into_iter().find(|agent_type| *agent_type.name == *name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agents::CATEGORIES;

    #[test]
    fn every_built_in_type_is_checked_and_says_what_it_promises() {
        for (name, text) in FILES {
            let agent_type = AgentType::from_markdown(text, name).expect(name);
            assert_eq!(&*agent_type.name, name, "a file is called as its type");
            assert!(CATEGORIES.contains(&&*agent_type.category), "{name}: {}", agent_type.category);
            assert!(agent_type.description.len() <= 100, "{name}: the description is one short line");
            assert!(agent_type.schema().expect(name).is_some(), "{name} promises something");
            assert!(agent_type.example().is_some(), "{name} shows an example");
            for section in ["## Role", "## Method", "## Quality criteria", "## Limits"] {
                assert!(agent_type.instructions.contains(section), "{name} lacks {section}");
            }
        }
    }

    #[test]
    fn the_categories_hold_the_documented_numbers_of_types() {
        let types = types();
        let counts = CATEGORIES.map(|category| types.iter().filter(|each| &*each.category == category).count());
        assert_eq!(counts, [5, 5, 5, 1, 4, 5]);
    }
}
