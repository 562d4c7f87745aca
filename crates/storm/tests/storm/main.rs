//! The judge and the storm book, by their public API: tables of cases, and properties.

#[cfg(test)]
mod book;
#[cfg(test)]
mod evidence;
#[cfg(test)]
mod explain;
#[cfg(test)]
mod json;
#[cfg(test)]
mod make;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod recent;
#[cfg(test)]
mod recent_kept;
#[cfg(test)]
mod recent_properties;
#[cfg(test)]
mod table_copies;
#[cfg(test)]
mod table_loop;
#[cfg(test)]
mod table_suspicion;
#[cfg(test)]
mod tell;
#[cfg(test)]
mod trace;
#[cfg(test)]
mod trace_cases;
#[cfg(test)]
mod user_limit;
