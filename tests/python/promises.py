"""What each agent type promises to answer: the documented fields that callers rely on, and their types."""

from __future__ import annotations

CATEGORIES = {"content": 5, "development": 5, "qa": 5, "documentation": 1, "meta": 4, "personal": 5}

FIELDS = {
    "content_writer_creative": "caption hashtags engagement_prediction tone_notes",
    "content_writer_funny": "caption hashtags engagement_prediction punchline",
    "content_writer_educational": "caption hashtags key_points difficulty",
    "content_writer_trendy": "caption hashtags trend_reference viral_potential",
    "content_writer_controversial": "caption hashtags controversy_level discussion_prompts",
    "frontend_developer": "files framework components state_management styling",
    "backend_developer": "files framework endpoints auth models",
    "database_architect": "tables indexes relations migrations optimization_notes",
    "api_designer": "spec_version endpoints auth_scheme rate_limiting documentation",
    "devops_engineer": "files pipeline_stages deployment_target infra_as_code monitoring",
    "code_reviewer": "score issues_found suggestions security_notes performance_notes",
    "security_reviewer": "vulnerabilities warnings score recommendations",
    "performance_reviewer": "complexity_score bottlenecks optimization_suggestions memory_usage time_complexity",
    "accessibility_reviewer": "wcag_level issues aria_usage keyboard_nav screen_reader",
    "test_engineer": "test_files coverage_percentage test_cases edge_cases test_framework",
    "documentation_writer": "files sections code_examples quick_start",
    "agent_creator": "agent_name version domain system_prompt input_schema output_schema capabilities "
    "example_interactions estimated_complexity use_cases limitations confidence",
    "agent_refiner": "agent_name version domain system_prompt input_schema output_schema capabilities "
    "example_interactions estimated_complexity use_cases limitations confidence",
    "agent_design_reviewer": "overall_score overall_grade is_production_ready dimension_scores strengths "
    "areas_for_improvement missing_elements recommendations revised_system_prompt confidence",
}
"""Agent type to required fields. The other types' fields are ours to define."""

_LISTS = (
    "hashtags key_points discussion_prompts files components tables indexes relations migrations pipeline_stages "
    "infra_as_code suggestions vulnerabilities warnings recommendations bottlenecks optimization_suggestions issues "
    "test_files edge_cases sections capabilities use_cases limitations strengths missing_elements models "
    "areas_for_improvement"
)
_NUMBERS = "controversy_level issues_found coverage_percentage test_cases code_examples confidence overall_score"
_OBJECTS = {"input_schema", "output_schema", "dimension_scores"}


def field_type(agent_type: str, field: str) -> type | tuple[type, ...]:
    """The Python type of a documented field in the parsed answer."""
    if field == "endpoints":
        return list if agent_type == "backend_developer" else (int, float)
    if field == "score":
        return (int, float) if agent_type == "code_reviewer" else str
    if field == "is_production_ready":
        return bool
    if field == "revised_system_prompt":
        return (str, type(None))
    if field in _LISTS.split():
        return list
    if field in _NUMBERS.split():
        return (int, float)
    if field in _OBJECTS:
        return dict
    return str
