"""deploy/minio/: the policies match docs/media.md, and S3 (moto's server) accepts them."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from instafeed.devstack.state import PROJECT_ROOT
from media.storage.paths import kind_of
from tests.deploy import compose_file

MINIO = PROJECT_ROOT / "deploy" / "minio"


def read(name: str) -> Any:
    return json.loads((MINIO / name).read_text())


def documented(word: str) -> Any:
    page = (PROJECT_ROOT / "docs" / "media.md").read_text()
    (policy,) = re.findall(rf"```json\n([^`]*{word}[^`]*)```", page)
    return json.loads(policy.replace("BUCKET", "media"))


def normalize(policy: Any) -> list[dict[str, Any]]:
    """Normalize policies: single values become lists, and the two notations of "all principals" become one."""
    statements = []
    for statement in policy["Statement"]:
        lists = {key: value if isinstance(value, list) else [value] for key, value in statement.items()}
        if "Principal" in lists:
            lists["Principal"] = ["*" if value in ("*", {"AWS": ["*"]}) else value for value in lists["Principal"]]
        statements.append(lists)
    return statements


def test_public_read_policy_matches_the_documentation() -> None:
    assert normalize(read("public-read.json")) == normalize(documented("PublicPicturesOnly"))


def test_application_policy_matches_the_documentation() -> None:
    # There is no CloudFront behind MinIO.
    wanted = [s for s in normalize(documented("s3:ListBucket")) if not s["Action"][0].startswith("cloudfront:")]
    assert normalize(read("application.json")) == wanted


def test_lifecycle_deletes_incomplete_uploads_and_old_versions() -> None:
    """The rules replace others at each start, so they include the one that versioning needs (docs/backup.md)."""
    uploads, versions = read("lifecycle.json")["Rules"]
    assert kind_of(uploads["Filter"]["Prefix"] + "x" * 32) == "incoming"
    assert (versions["Filter"]["Prefix"], versions["Expiration"]) == ("", {"ExpiredObjectDeleteMarker": True})
    days = versions["NoncurrentVersionExpiration"]["NoncurrentDays"]
    assert f"for {days} days" in (PROJECT_ROOT / "docs" / "backup.md").read_text()
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        keys = {"aws_access_key_id": "x", "aws_secret_access_key": "x", "region_name": "us-east-1"}
        s3 = boto3.client("s3", endpoint_url=f"http://{host}:{port}", **keys)
        s3.create_bucket(Bucket="media")
        s3.put_bucket_policy(Bucket="media", Policy=json.dumps(read("public-read.json")))
        s3.put_bucket_lifecycle_configuration(Bucket="media", LifecycleConfiguration=read("lifecycle.json"))
        accepted = s3.get_bucket_lifecycle_configuration(Bucket="media")["Rules"]
        assert [rule["Expiration"] for rule in accepted] == [uploads["Expiration"], versions["Expiration"]]
        assert accepted[1]["NoncurrentVersionExpiration"] == {"NoncurrentDays": days}
    finally:
        server.stop()


def test_script_is_valid_and_uses_existing_files() -> None:
    script = MINIO / "init.sh"
    assert subprocess.run(["sh", "-n", str(script)], timeout=60).returncode == 0
    assert set(re.findall(r"[\w-]+\.json", script.read_text())) == {path.name for path in MINIO.glob("*.json")}
    service = compose_file.services()["minio-init"]
    assert (
        service["environment"]["BUCKET"] == compose_file.services()["api-1"]["environment"]["AWS_STORAGE_BUCKET_NAME"]
    )


@pytest.mark.parametrize("name", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
def test_application_keys_match_the_created_user(name: str) -> None:
    services = compose_file.services(**{name: "a-value"})
    assert services["api-1"]["environment"][name] == "a-value"
    assert "a-value" in services["minio-init"]["environment"].values()


def test_secret_of_the_application_is_no_argument(tmp_path: Path) -> None:
    """All users of the machine can read the arguments of a program."""
    mc = tmp_path / "mc"
    mc.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/arguments\n[ "$3" != add ] || cat > {tmp_path}/input\n')
    mc.chmod(0o755)
    settings = {"BUCKET": "media", "APP_USER": "instafeed", "APP_PASSWORD": "the secret"}
    subprocess.run(
        ["sh", MINIO / "init.sh"], env={"PATH": f"{tmp_path}:{os.environ['PATH']}", **settings}, check=True, timeout=60
    )
    assert "the secret" not in (tmp_path / "arguments").read_text()
    assert (tmp_path / "input").read_text() == "instafeed\nthe secret\n"
