//! Plays the list in a world: beside each other what shares it, alone what breaks a part of it.

use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};

use futures::FutureExt;
use libtest_mimic::{Arguments, Failed, Trial};

use crate::compatibility;
use crate::describe;
use crate::go;
use crate::scenario::{Needs, Scenario};
use crate::stage::Stage;
use crate::world::{Double, Kind, Real, Request, World};

/// The world that scenarios share.
struct Suite {
    kind: Kind,
    /// Made when first needed, so that `--list` needs none.
    shared: OnceLock<Arc<dyn World>>,
    /// What the API server has refused, and the point in its audit log up to which that is known: worlds can be used again.
    refused: Mutex<(Vec<Request>, u64)>,
    /// Held to read by what shares the world, to write by what breaks it.
    gate: RwLock<()>,
}

/// Plays the list; the exit code says whether all went well.
pub fn run(args: &Arguments, mut scenarios: Vec<Scenario>) -> ExitCode {
    let suite = Arc::new(Suite::new());
    let untold = suite.untold(&scenarios);
    // What runs alone comes last, for nothing else runs meanwhile.
    scenarios.sort_by_key(|scenario| scenario.alone);
    let page = compatibility::trial(&scenarios);
    let trials = scenarios
        .into_iter()
        .map(|scenario| trial(&suite, scenario));
    let trials = std::iter::once(page).chain(trials).collect();
    let conclusion = libtest_mimic::run(args, trials);
    if args.list {
        return conclusion.exit_code();
    }
    let played = conclusion.num_passed + conclusion.num_failed;
    // The double is one of many tests of the workspace, whose filter may mean another.
    let idle = (suite.kind == Kind::Real && played == 0).then(|| {
        let filter = args.filter.as_deref().unwrap_or_default();
        format!("No scenario was played: none that this world can show is named like {filter:?}")
    });
    for why in idle.iter().chain(&untold) {
        eprintln!("test result: FAILED. {why}");
    }
    if idle.is_some() || untold.is_some() {
        return ExitCode::FAILURE;
    }
    let forbidden = suite.refused_so_far();
    if !forbidden.is_empty() {
        eprintln!(
            "test result: FAILED. The API server refused what the provisioner asked for: {forbidden:#?}"
        );
        return ExitCode::FAILURE;
    }
    conclusion.exit_code()
}

fn trial(suite: &Arc<Suite>, scenario: Scenario) -> Trial {
    let name = scenario.name.clone();
    let missing = match scenario.needs {
        Some(Needs::Knfsd) if !has_knfsd() => Some("this world has no knfsd"),
        Some(Needs::Go) if go::program().is_none() => {
            Some("E2E_GO_PROVISIONER names no Go provisioner")
        }
        Some(Needs::Kubectl) if describe::program(real().as_ref()).is_none() => {
            Some("there is no kubectl on the PATH")
        }
        _ => None,
    };
    let why = scenario.left_out(suite.kind).or(missing);
    if let Some(why) = why {
        return Trial::ignorable_test(name, move || {
            Ok(libtest_mimic::Completion::ignored_with(why))
        });
    }
    let suite = suite.clone();
    Trial::test(name, move || suite.play(&scenario))
}

// === impl Suite ===

impl Suite {
    fn new() -> Self {
        let kind = if std::env::var_os("E2E_WORLD").is_some() {
            Kind::Real
        } else {
            Kind::Double
        };
        Self {
            kind,
            shared: OnceLock::new(),
            refused: Mutex::default(),
            gate: RwLock::default(),
        }
    }

    /// What an unattended run would leave out in silence.
    fn untold(&self, scenarios: &[Scenario]) -> Option<String> {
        let is_missing =
            self.kind == Kind::Real && std::env::var_os("CI").is_some() && !has_knfsd();
        let count = scenarios
            .iter()
            .filter(|scenario| scenario.needs == Some(Needs::Knfsd))
            .count();
        is_missing.then(|| {
            format!("CI is set, and {count} scenarios need knfsd, which this world does not have")
        })
    }

    fn play(&self, scenario: &Scenario) -> Result<(), Failed> {
        // A double costs so little that whoever would break the shared one gets another.
        if scenario.alone && self.kind == Kind::Double {
            let world: Arc<dyn World> = Arc::new(Double::start());
            play(scenario, world.clone())?;
            let forbidden = forbidden(&*world, 0);
            return if forbidden.is_empty() || scenario.forbidden {
                Ok(())
            } else {
                Err(format!("forbidden: {forbidden:#?}").into())
            };
        }
        if scenario.alone {
            let _nobody_else = self.gate.write().unwrap_or_else(PoisonError::into_inner);
            self.refused_so_far();
            let outcome = play(scenario, self.shared().clone());
            if scenario.forbidden {
                self.begin_anew(&**self.shared());
            }
            outcome
        } else {
            let _beside_others = self.gate.read().unwrap_or_else(PoisonError::into_inner);
            play(scenario, self.shared().clone())
        }
    }

    fn shared(&self) -> &Arc<dyn World> {
        self.shared.get_or_init(|| {
            let world: Arc<dyn World> = match real() {
                Some(real) => Arc::new(real),
                None => Arc::new(Double::start()),
            };
            self.begin_anew(&*world);
            world
        })
    }

    /// What the API server refuses from here on counts, and nothing between the last question and now.
    fn begin_anew(&self, world: &dyn World) {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        refused.1 = world.audit_mark();
    }

    /// All that should not have been refused.
    fn refused_so_far(&self) -> Vec<Request> {
        let Some(world) = self.shared.get() else {
            return Vec::new();
        };
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        let (known, since) = &mut *refused;
        known.extend(forbidden(&**world, *since));
        *since = world.audit_mark();
        known.clone()
    }
}

/// Whether the world of real parts was made with Linux's own NFS server.
fn has_knfsd() -> bool {
    real().is_some_and(|real| real.says("KNFSD_SERVER").is_some())
}

/// The world of real parts, where one is named.
fn real() -> Option<Real> {
    let run_dir = std::env::var_os("E2E_WORLD")?;
    Some(Real::at(Path::new(&run_dir)))
}

fn play(scenario: &Scenario, world: Arc<dyn World>) -> Result<(), Failed> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let stage = Stage::set(world, scenario.rights, unique_name(&scenario.name)).await;
        let outcome = AssertUnwindSafe((scenario.play)(stage.clone()))
            .catch_unwind()
            .await;
        let mut whys: Vec<_> = outcome
            .err()
            .map(|panic| reason(&*panic).to_owned())
            .into_iter()
            .collect();
        whys.extend(stage.mishaps());
        let told = if whys.is_empty() {
            String::new()
        } else {
            stage.told().await
        };
        stage.strike().await;
        if whys.is_empty() {
            Ok(())
        } else {
            Err(format!("{}\n{told}", whys.join("\n")).into())
        }
    })
}

/// A name for a namespace: the group's, and something that no other run has.
fn unique_name(scenario: &str) -> String {
    let group = scenario.split("::").next().unwrap_or("scenario");
    format!("{group}-{:08x}", fastrand::u32(..))
}

fn reason(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("panicked")
}

fn forbidden(world: &dyn World, since: u64) -> Vec<Request> {
    let mut requests = world.requests_since(since);
    requests.retain(|request| request.code == 403);
    requests
}
