//! Shell completions and man pages, generated from the definition of the arguments.

use std::path::PathBuf;

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::Vocalics;
use crate::failure::Failure;
use crate::output::print;

/// Write the completions of a shell to standard output
///
/// For example: vocalics completions bash > ~/.local/share/bash-completion/completions/vocalics
#[derive(Debug, Args)]
pub(crate) struct CompletionsArguments {
    /// The shell
    shell: Shell,
}

/// Write the manual page to standard output, or the pages of all commands into a folder
#[derive(Debug, Args)]
pub(crate) struct ManArguments {
    /// Folder for vocalics.1, vocalics-predict.1 and so on; created if absent
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

pub(crate) fn completions(arguments: &CompletionsArguments) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(
        arguments.shell,
        &mut Vocalics::command(),
        "vocalics",
        &mut script,
    );
    print(&String::from_utf8_lossy(&script))
}

pub(crate) fn man(arguments: &ManArguments) -> Result<(), Failure> {
    let Some(folder) = &arguments.out else {
        let mut page = Vec::new();
        clap_mangen::Man::new(Vocalics::command()).render(&mut page)?;
        return print(&String::from_utf8_lossy(&page));
    };
    let failed = |error| Failure::io("write", folder, &error);
    std::fs::create_dir_all(folder).map_err(failed)?;
    clap_mangen::generate_to(Vocalics::command(), folder).map_err(failed)
}
