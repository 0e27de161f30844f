//! What `parallel-agents doctor` looks at, by name. Errors name the one that explains them; what each is found to be is
//! not known here.

/// A line of `parallel-agents doctor`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Check {
    /// The Python that runs us.
    Python,
    /// The package: that its parts are of one version, and whose command is on the path.
    Package,
    /// Which runtime would be used, and how it was found.
    Runtime,
    /// Whether a gateway answers.
    Gateway,
    /// Which release it is, and which protocol it speaks.
    Version,
    /// Whether it accepts the token, and where that came from.
    Token,
    /// What the token grants.
    Scopes,
    /// Whether agents can be started by the `agent` call.
    PathAgent,
    /// Whether they can by the `sessions_spawn` tool.
    PathSpawn,
    /// How many agents the gateway runs at once.
    Limits,
    /// Whether it can use each tier's model.
    Models,
    /// The state folder, and ours in it.
    State,
    /// The journal, and runs that nobody has finished.
    Journal,
    /// The user's own agent types.
    Agents,
    /// The skill: where it is installed, and whether agents see it.
    Skill,
}

impl Check {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Self; 15] = [
        Self::Python,
        Self::Package,
        Self::Runtime,
        Self::Gateway,
        Self::Version,
        Self::Token,
        Self::Scopes,
        Self::PathAgent,
        Self::PathSpawn,
        Self::Limits,
        Self::Models,
        Self::State,
        Self::Journal,
        Self::Agents,
        Self::Skill,
    ];

    /// The documented name.
    pub const fn id(self) -> &'static str {
        match self {
            Self::Python => "python",
            Self::Package => "package",
            Self::Runtime => "runtime",
            Self::Gateway => "gateway",
            Self::Version => "version",
            Self::Token => "token",
            Self::Scopes => "scopes",
            Self::PathAgent => "path_agent",
            Self::PathSpawn => "path_spawn",
            Self::Limits => "limits",
            Self::Models => "models",
            Self::State => "state",
            Self::Journal => "journal",
            Self::Agents => "agents",
            Self::Skill => "skill",
        }
    }

    /// How an error's message points to it.
    pub fn pointer(self) -> String {
        format!("(see line `{}` of `parallel-agents doctor`)", self.id())
    }

    /// The message of an error that it explains, if one does.
    pub fn pointed(message: String, check: Option<Self>) -> String {
        match check {
            Some(check) => format!("{message} {}", check.pointer()),
            None => message,
        }
    }

    /// What explains why an agent failed, by a runtime's words: only what the gateway's settings decide.
    pub fn of_failure(reason: &str) -> Option<Self> {
        let lower = reason.to_lowercase();
        let says = |words: &[&str]| words.iter().any(|words| lower.contains(words));
        if says(&["tool not available"]) {
            Some(Self::PathSpawn)
        } else if says(&["missing scope"]) {
            Some(Self::Scopes)
        } else if says(&["gateway token", "gateway password", "device identity required", "check the token:"]) {
            Some(Self::Token)
        } else if says(&["maxchildrenperagent", "max active children"]) {
            Some(Self::Limits)
        } else if says(&["unknown model", "is not usable", "model was not found", "billing error", "no api key"])
            || says(&["authentication failed", "http 401", "http 402", "http 403", "http 404"])
            || (lower.contains("model override") && lower.contains("is not allowed"))
        {
            Some(Self::Models)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_its_own_name_and_place() {
        for (index, check) in Check::ALL.into_iter().enumerate() {
            assert_eq!(check as usize, index, "{}", check.id());
            assert_eq!(Check::ALL.iter().filter(|other| other.id() == check.id()).count(), 1);
        }
        assert_eq!(Check::Token.pointer(), "(see line `token` of `parallel-agents doctor`)");
        assert_eq!(Check::pointed("it broke".to_owned(), None), "it broke");
    }

    #[test]
    fn what_the_gateway_s_settings_decide_is_told_by_its_words() {
        let cases = [
            ("Tool not available: sessions_spawn; add \"sessions_spawn\" to ...", Some(Check::PathSpawn)),
            ("missing scope: operator.write; connect with a token that grants the scope", Some(Check::Scopes)),
            ("unauthorized: gateway token mismatch (provide gateway auth token)", Some(Check::Token)),
            (
                "sessions_spawn has reached max active children for this session (5/5; \
                 agents.defaults.subagents.maxChildrenPerAgent).",
                Some(Check::Limits),
            ),
            ("Unknown model: nope/none. Run `openclaw models list --refresh`", Some(Check::Models)),
            ("p3/m request failed (authentication failed, HTTP 401). Re-authenticate", Some(Check::Models)),
            ("The selected model was not found by the provider.", Some(Check::Models)),
            ("p8 (m) returned a billing error - your API key has run out of credits", Some(Check::Models)),
            ("p5 (m) is rate-limited (HTTP 429)", None),
            ("the agent did not finish in time", None),
            ("the provider failed (HTTP 500)", None),
        ];
        for (reason, expected) in cases {
            assert_eq!(Check::of_failure(reason), expected, "{reason}");
        }
    }
}
