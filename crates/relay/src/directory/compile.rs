//! From a plan to a directory: every alias, catch-all and the postmaster down to final addresses.

use std::collections::{HashMap, HashSet};

use super::names::{normal, normal_domain, normal_local, split, strip_detail};
use super::{
    Directory, MAX_ALIAS_DEPTH, MAX_ALIAS_TARGETS, Name, Place, Plan, PlanError, Population, Resolved,
    resolved,
};

/// Compiles `plan`, or returns all its faults.
pub(super) fn compile(plan: &Plan) -> Result<Directory, Vec<PlanError>> {
    let mut compiler = Compiler::new(plan);
    compiler.postmaster();
    compiler.name_catch_alls();
    compiler.catch_alls();
    compiler.aliases();
    if compiler.errors.is_empty() { Ok(compiler.directory) } else { Err(compiler.errors) }
}

struct Compiler<'a> {
    plan: &'a Plan,
    /// Aliases by normal name, each with the name as written.
    written: HashMap<Name, (&'a str, &'a [String])>,
    directory: Directory,
    errors: Vec<PlanError>,
}

/// One expansion under way.
struct Walk {
    place: Place,
    /// Aliases between the start and here: one met again is a loop.
    path: Vec<Name>,
    /// Everything met: each is expanded once, so that the work stays linear.
    seen: HashSet<Name>,
    found: Vec<Resolved>,
}

impl Walk {
    fn new(place: Place) -> Self {
        Self { place, path: Vec::new(), seen: HashSet::new(), found: Vec::new() }
    }
}

impl<'a> Compiler<'a> {
    fn new(plan: &'a Plan) -> Self {
        let directory = Directory {
            domains: plan.domains.iter().map(|d| (d.name.clone(), d.clone())).collect(),
            order: plan.domains.iter().map(|d| d.name.clone()).collect(),
            address_literals: plan.address_literals,
            hostname: normal_domain(&plan.hostname).unwrap_or_default(),
            ..Directory::default()
        };
        let mut compiler = Self { plan, written: HashMap::new(), directory, errors: Vec::new() };
        for (alias, targets) in &plan.aliases {
            match compiler.local_name(alias) {
                Some(name) => {
                    compiler.written.insert(name, (alias, targets));
                }
                None => compiler
                    .errors
                    .push(PlanError::NotLocal { place: Place::Alias(alias.clone()), address: alias.clone() }),
            }
        }
        compiler
    }

    /// `address` in normal form, if its domain is ours.
    fn local_name(&self, address: &str) -> Option<Name> {
        let (local, domain) = split(address)?;
        let name = normal(local, domain)?;
        self.directory.domains.contains_key(&name.1).then_some(name)
    }

    /// The postmaster comes first, since everything else may lead to it. Its address makes its
    /// mailbox exist, listed or not: mail for it is always accepted.
    fn postmaster(&mut self) {
        let first = self.plan.domains.first().map_or(&self.plan.hostname, |d| &d.name);
        let fallback = || ("postmaster".to_owned(), first.clone());
        let name = match &self.plan.postmaster {
            None => Some(fallback()),
            Some(address) => self.local_name(address),
        };
        let Some(name) = name else {
            let address = self.plan.postmaster.clone().unwrap_or_default();
            self.errors.push(PlanError::NotLocal { place: Place::Postmaster, address });
            return;
        };
        if self.written.contains_key(&name) {
            let mut walk = Walk::new(Place::Postmaster);
            self.expand(name, &mut walk);
            self.directory.postmaster = walk.found;
        } else {
            self.directory.postmaster = vec![self.target(&name.0, &name.1)];
            self.directory.named.insert(name);
        }
    }

    /// A catch-all that is no alias makes its mailbox exist, like the postmaster.
    fn name_catch_alls(&mut self) {
        for domain in self.plan.domains.iter() {
            if let Some(name) =
                domain.catch_all.as_deref().and_then(|to| self.catch_all_name(to, &domain.name))
                && !self.written.contains_key(&name)
            {
                self.directory.named.insert(name);
            }
        }
    }

    /// `catch_all` is an address, or a local part of its own domain.
    fn catch_all_name(&self, to: &str, domain: &str) -> Option<Name> {
        match to.contains('@') {
            true => self.local_name(to),
            false => Some((normal_local(to)?, domain.to_owned())),
        }
    }

    fn catch_alls(&mut self) {
        for domain in &self.plan.domains {
            let Some(to) = &domain.catch_all else {
                continue;
            };
            let place = Place::CatchAll(domain.name.clone());
            let Some(name) = self.catch_all_name(to, &domain.name) else {
                self.errors.push(PlanError::NotLocal { place, address: to.clone() });
                continue;
            };
            let mut walk = Walk::new(place);
            self.expand(name, &mut walk);
            self.directory.catch_all.insert(domain.name.clone(), walk.found);
        }
    }

    fn aliases(&mut self) {
        let mut names: Vec<Name> = self.written.keys().cloned().collect();
        names.sort_unstable();
        for name in names {
            let place = Place::Alias(self.written[&name].0.to_owned());
            let mut walk = Walk::new(place);
            self.expand(name.clone(), &mut walk);
            self.directory.aliases.insert(name, walk.found);
        }
    }

    /// Follows `name` to its final addresses. On a fault one error is noted and the walk goes on.
    fn expand(&mut self, name: Name, walk: &mut Walk) {
        if walk.path.contains(&name) {
            let address = super::joined(&name.0, &name.1);
            return self.errors.push(PlanError::AliasLoop { place: walk.place.clone(), address });
        }
        if !walk.seen.insert(name.clone()) {
            return;
        }
        match self.written.get(&name).copied() {
            Some((_, targets)) => self.expand_targets(name, targets, walk),
            None => self.settle(&name, walk),
        }
    }

    fn expand_targets(&mut self, name: Name, targets: &[String], walk: &mut Walk) {
        if walk.path.len() >= MAX_ALIAS_DEPTH || targets.len() > MAX_ALIAS_TARGETS {
            return self.errors.push(PlanError::AliasTooLarge { place: walk.place.clone() });
        }
        walk.path.push(name);
        for target in targets {
            match self.local_name(target) {
                Some(next) => self.expand(next, walk),
                None => self
                    .errors
                    .push(PlanError::NotLocal { place: walk.place.clone(), address: target.clone() }),
            }
        }
        walk.path.pop();
    }

    /// `name` is no alias: a mailbox, the postmaster, one of "all others", or nobody.
    fn settle(&mut self, name: &Name, walk: &mut Walk) {
        let (local, domain) = name;
        let bare = (strip_detail(local).to_owned(), domain.clone());
        if self.is_mailbox(name) {
            add(walk, self.target(local, domain));
        } else if bare.0 == "postmaster" {
            let postmaster = self.directory.postmaster.clone();
            postmaster.into_iter().for_each(|to| add(walk, to));
        } else if bare != *name && self.written.contains_key(&bare) {
            self.expand(bare, walk);
        } else if bare != *name && self.is_mailbox(&bare) {
            // One recipient with `bare`, but what is sent to keeps the detail that was written.
            let goes_out = self.target(local, domain).goes_out;
            add(walk, Resolved { goes_out, ..resolved(&bare.0, domain) });
        } else if let Some(others) = self.directory.catch_all(domain) {
            let others = others.to_vec();
            others.into_iter().for_each(|to| add(walk, to));
        } else if self.directory.domains.get(domain).is_some_and(|plan| plan.takes_others) {
            add(walk, self.target(local, domain));
        } else {
            let address = super::joined(local, domain);
            self.errors.push(PlanError::Nobody { place: walk.place.clone(), address });
        }
        if walk.found.len() > MAX_ALIAS_TARGETS {
            walk.found.truncate(MAX_ALIAS_TARGETS);
            self.errors.push(PlanError::AliasTooLarge { place: walk.place.clone() });
        }
    }

    /// A final address that mail for another address goes to. What is kept here is sent nowhere: its
    /// row tells people which address was given.
    fn target(&self, local: &str, domain: &str) -> Resolved {
        let resolved = resolved(local, domain);
        let sent_on = !self.directory.has_maildirs(domain);
        Resolved { goes_out: sent_on.then(|| resolved.identity.clone()), ..resolved }
    }

    /// Listed, named by the configuration, or in a domain where mailboxes come and go: there the
    /// target's mailbox is made at the start, since the configuration names it. In a domain whose
    /// next hop is asked, the configuration is believed.
    fn is_mailbox(&mut self, name: &Name) -> bool {
        if self.directory.named.contains(name) {
            return true;
        }
        match self.directory.domains.get(&name.1).map(|domain| &domain.population) {
            Some(Population::Listed(locals)) => locals.contains(&name.0),
            Some(Population::Existing) if name.0 != "postmaster" => self.directory.named.insert(name.clone()),
            Some(Population::Asked) => name.0 != "postmaster",
            _ => false,
        }
    }
}

/// Each recipient once.
fn add(walk: &mut Walk, target: Resolved) {
    if !walk.found.iter().any(|found| found.identity == target.identity) {
        walk.found.push(target);
    }
}
