//! What an operator does by a runbook at the members of a DCS: commands with a member's data, and a snapshot that is carried
//! from one to another.

use crate::{
    drill::{Drill, DrillError},
    engine::ShellOutput,
};

/// A step of a runbook that concerns members of a DCS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MemberOrder {
    /// Run a command with a member's data, whether the member runs or not.
    Run {
        /// The member's host.
        member: String,
        /// What is run, as the user that owns the data.
        command: String,
    },
    /// Copy a file from one member to another one, to the same place.
    CopyFile {
        /// Where it is.
        path: String,
        /// The host of the member that has it.
        from: String,
        /// The host of the member that gets it.
        to: String,
    },
}

impl MemberOrder {
    /// The members that it names.
    pub fn members(&self) -> Vec<&str> {
        match self {
            MemberOrder::Run { member, .. } => vec![member],
            MemberOrder::CopyFile { from, to, .. } => vec![from, to],
        }
    }
}

impl Drill {
    /// How a command ends is recorded, and no failure of the step: that is for the checks to judge.
    pub(super) async fn at_member(&mut self, order: &MemberOrder) -> Result<(), DrillError> {
        self.begin_load().await?;
        let ground = self.ground.clone();
        let system = &self.running().await?.system;
        let (member, command, ran) = match order {
            MemberOrder::Run { member, command } => {
                let ran = async { Ok::<_, DrillError>(system.at_member(member, command).await) };
                (member, command.clone(), ground.hold(ran).await?)
            }
            MemberOrder::CopyFile { path, from, to } => {
                let copied = async { Ok::<_, DrillError>(system.copy_between_members(path, from, to).await) };
                let done = |()| ShellOutput { status: 0, text: String::new() };
                (to, format!("copy {path} from {from}"), ground.hold(copied).await?.map(done))
            }
        };
        self.record_command(member, &command, ran).await
    }
}
