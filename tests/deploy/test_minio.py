"""deploy/minio/: the policies are those of docs/media.md, and S3 (moto's server) takes them."""

from __future__ import annotations

import json
import re
import subprocess
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


def normal(policy: Any) -> list[dict[str, Any]]:
    """Single values and lists of one mean the same; so do the two ways to say everybody."""
    statements = []
    for statement in policy["Statement"]:
        lists = {key: value if isinstance(value, list) else [value] for key, value in statement.items()}
        if "Principal" in lists:
            lists["Principal"] = ["*" if value in ("*", {"AWS": ["*"]}) else value for value in lists["Principal"]]
        statements.append(lists)
    return statements


def test_everybody_may_read_what_the_documentation_says() -> None:
    assert normal(read("public-read.json")) == normal(documented("PublicPicturesOnly"))


def test_the_application_may_do_what_the_documentation_says() -> None:
    # There is no CloudFront behind MinIO.
    wanted = [s for s in normal(documented("s3:ListBucket")) if not s["Action"][0].startswith("cloudfront:")]
    assert normal(read("application.json")) == wanted


def test_the_lifecycle_ends_uploads_that_were_never_completed() -> None:
    (rule,) = read("lifecycle.json")["Rules"]
    assert kind_of(rule["Filter"]["Prefix"] + "x" * 32) == "incoming"
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        keys = {"aws_access_key_id": "x", "aws_secret_access_key": "x", "region_name": "us-east-1"}
        s3 = boto3.client("s3", endpoint_url=f"http://{host}:{port}", **keys)
        s3.create_bucket(Bucket="media")
        s3.put_bucket_policy(Bucket="media", Policy=json.dumps(read("public-read.json")))
        s3.put_bucket_lifecycle_configuration(Bucket="media", LifecycleConfiguration=read("lifecycle.json"))
        assert s3.get_bucket_lifecycle_configuration(Bucket="media")["Rules"][0]["Expiration"] == {"Days": 1}
    finally:
        server.stop()


def test_the_script_is_shell_and_names_the_files_that_there_are() -> None:
    script = MINIO / "init.sh"
    assert subprocess.run(["sh", "-n", str(script)], timeout=10).returncode == 0
    assert set(re.findall(r"[\w-]+\.json", script.read_text())) == {path.name for path in MINIO.glob("*.json")}
    service = compose_file.services()["minio-init"]
    assert (
        service["environment"]["BUCKET"] == compose_file.services()["api-1"]["environment"]["AWS_STORAGE_BUCKET_NAME"]
    )


@pytest.mark.parametrize("name", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
def test_the_applications_keys_are_those_that_are_made_for_it(name: str) -> None:
    services = compose_file.services(**{name: "a-value"})
    assert services["api-1"]["environment"][name] == "a-value"
    assert "a-value" in services["minio-init"]["environment"].values()
