//! Volumes as folders: emptyDir, Secret, ConfigMap, downward API, projected.
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::{Context, Result, bail};
use k8s_openapi::api::core::v1::{DownwardAPIVolumeFile, KeyToPath, Volume, VolumeProjection};

use super::ground::Ground;
use super::token;

/// Makes the folder of every volume, with what is in it now.
pub(super) async fn prepare(ground: &Ground) -> Result<()> {
    for volume in ground.volumes() {
        let folder = ground.volume_folder(&volume.name);
        fs::create_dir_all(&folder)?;
        fill(ground, volume, &folder).await.with_context(|| format!("volume {:?}", volume.name))?;
    }
    Ok(())
}

async fn fill(ground: &Ground, volume: &Volume, folder: &Path) -> Result<()> {
    if volume.empty_dir.is_some() {
        return Ok(());
    }
    if let Some(secret) = &volume.secret {
        let name = secret.secret_name.as_deref().unwrap_or_default();
        let data = ground.secret(name, secret.optional).await?;
        return write_all(folder, data, secret.items.as_deref());
    }
    if let Some(config_map) = &volume.config_map {
        let data = ground.config_map(&config_map.name, config_map.optional).await?;
        return write_all(folder, data, config_map.items.as_deref());
    }
    if let Some(downward) = &volume.downward_api {
        return downward_files(ground, folder, downward.items.as_deref().unwrap_or_default());
    }
    let Some(projected) = &volume.projected else { bail!("is of a kind that is not known here") };
    for source in projected.sources.iter().flatten() {
        project(ground, source, folder).await?;
    }
    Ok(())
}

async fn project(ground: &Ground, source: &VolumeProjection, folder: &Path) -> Result<()> {
    if let Some(wanted) = &source.service_account_token {
        return token::write(ground, wanted, folder).await;
    }
    if let Some(secret) = &source.secret {
        let data = ground.secret(&secret.name, secret.optional).await?;
        return write_all(folder, data, secret.items.as_deref());
    }
    if let Some(config_map) = &source.config_map {
        let data = ground.config_map(&config_map.name, config_map.optional).await?;
        return write_all(folder, data, config_map.items.as_deref());
    }
    let Some(downward) = &source.downward_api else { bail!("a projection of a kind that is not known here") };
    downward_files(ground, folder, downward.items.as_deref().unwrap_or_default())
}

fn downward_files(ground: &Ground, folder: &Path, items: &[DownwardAPIVolumeFile]) -> Result<()> {
    for item in items {
        let field = item.field_ref.as_ref().context("only `fieldRef` is known here")?;
        write(&folder.join(&item.path), ground.field(field)?.as_bytes())?;
    }
    Ok(())
}

/// Writes every key, or those that `items` picks, under their paths.
fn write_all(
    folder: &Path,
    data: Option<BTreeMap<String, Vec<u8>>>,
    items: Option<&[KeyToPath]>,
) -> Result<()> {
    let data = data.unwrap_or_default();
    let Some(items) = items else {
        return data.iter().try_for_each(|(key, value)| write(&folder.join(key), value));
    };
    for item in items {
        let value = data.get(&item.key).with_context(|| format!("there is no key {:?}", item.key))?;
        write(&folder.join(&item.path), value)?;
    }
    Ok(())
}

/// Writes a file that no reader ever sees half written, readable by its owner alone.
pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let folder = path.parent().context("a file in a volume")?;
    fs::create_dir_all(folder)?;
    let draft = tempfile::NamedTempFile::new_in(folder)?;
    fs::write(draft.path(), bytes)?;
    fs::set_permissions(draft.path(), fs::Permissions::from_mode(0o600))?;
    draft.persist(path)?;
    Ok(())
}
