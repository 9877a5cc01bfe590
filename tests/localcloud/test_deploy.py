import io
import json
import zipfile

import pytest

from localcloud.deploy import LARGE_BYTES, DeploymentError, deploy

BUCKET = "cdk-hnb659fds-assets-${AWS::AccountId}-${AWS::Region}"


@pytest.fixture
def assembly(tmp_path):
    """Write an assembly as CDK does: a manifest, one asset manifest and one template per stack."""

    def write(stacks, *, after=None, files=None):
        artifacts = {}
        for name, template in stacks.items():
            (tmp_path / f"{name}.template.json").write_text(json.dumps({"Resources": template}))
            described = {
                key: {
                    "source": {"path": source, "packaging": "zip"},
                    "destinations": {"current": {"bucketName": BUCKET, "objectKey": f"{key}.zip"}},
                }
                for key, source in (files or {}).items()
            }
            (tmp_path / f"{name}.assets.json").write_text(json.dumps({"files": described}))
            artifacts[f"{name}.assets"] = {
                "type": "cdk:asset-manifest",
                "properties": {"file": f"{name}.assets.json"},
            }
            artifacts[name] = {
                "type": "aws:cloudformation:stack",
                "properties": {"templateFile": f"{name}.template.json", "stackName": name},
                "dependencies": [*(after or {}).get(name, []), f"{name}.assets"],
            }
        (tmp_path / "manifest.json").write_text(json.dumps({"artifacts": artifacts}))
        return tmp_path

    return write


def parameter(name, value="x"):
    return {"Type": "AWS::SSM::Parameter", "Properties": {"Name": name, "Type": "String", "Value": value}}


def test_stacks_are_deployed_in_the_order_of_their_dependencies(cloud, assembly, fresh):
    first, second = fresh("a-second"), fresh("b-first")
    folder = assembly(
        {first: {"P": parameter(f"/{first}")}, second: {"P": parameter(f"/{second}")}}, after={first: [second]}
    )
    deployed = deploy(cloud.endpoint_url, folder)
    assert [(one.name, one.status) for one in deployed] == [(second, "CREATE_COMPLETE"), (first, "CREATE_COMPLETE")]


def test_a_second_deployment_changes_only_what_changed(cloud, assembly, fresh):
    changed, same = fresh("changed"), fresh("same")
    deploy(cloud.endpoint_url, assembly({changed: {"P": parameter(f"/{changed}")}, same: {"P": parameter(f"/{same}")}}))
    folder = assembly({changed: {"P": parameter(f"/{changed}", "y")}, same: {"P": parameter(f"/{same}")}})
    statuses = {one.name: one.status for one in deploy(cloud.endpoint_url, folder)}
    assert statuses == {changed: "UPDATE_COMPLETE", same: "UNCHANGED"}
    assert cloud.client("ssm").get_parameter(Name=f"/{changed}")["Parameter"]["Value"] == "y"


def test_a_failure_names_stack_resource_and_reason(cloud, assembly, fresh):
    name = fresh("stack")
    folder = assembly({name: {"Alarm": {"Type": "AWS::CloudWatch::Alarm", "Properties": {"Volume": 11}}}})
    with pytest.raises(DeploymentError, match=rf"stack {name} is ROLLBACK_COMPLETE: Alarm \(AWS::CloudWatch::Alarm\)"):
        deploy(cloud.endpoint_url, folder)
    # What was rolled back is in nobody's way.
    assert deploy(cloud.endpoint_url, assembly({name: {"P": parameter(f"/{name}")}}))[0].status == "CREATE_COMPLETE"


def test_nothing_is_made_of_an_app_with_a_stack_that_is_not_covered(cloud, assembly, fresh):
    first, second = fresh("first"), fresh("second")
    folder = assembly({first: {"P": parameter(f"/{first}")}, second: {"C": {"Type": "AWS::EKS::Cluster"}}})
    with pytest.raises(DeploymentError, match=rf"{second}: .+ resource type AWS::EKS::Cluster \(C\)"):
        deploy(cloud.endpoint_url, folder)
    assert first not in str(cloud.client("cloudformation").describe_stacks())


def test_an_unknown_stack_is_named(cloud, assembly, fresh):
    name = fresh("stack")
    with pytest.raises(DeploymentError, match="no stack"):
        deploy(cloud.endpoint_url, assembly({name: {"P": parameter(f"/{name}")}}), ["nothing"])


def stored(cloud, key):
    bucket = "cdk-hnb659fds-assets-123456789012-eu-west-1"
    return cloud.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()


def test_a_folder_goes_by_reference_and_a_small_archive_by_value(cloud, assembly, fresh, tmp_path):
    name, folder_key, small_key, large_key = fresh("stack"), fresh("folder"), fresh("small"), fresh("large")
    (tmp_path / "bundle").mkdir()
    (tmp_path / "small.zip").write_bytes(b"small")
    (tmp_path / "large.zip").write_bytes(bytes(LARGE_BYTES + 1))
    files = {folder_key: "bundle", small_key: "small.zip", large_key: "large.zip"}
    deploy(cloud.endpoint_url, assembly({name: {"P": parameter(f"/{name}")}}, files=files))
    assert stored(cloud, f"{small_key}.zip") == b"small"
    for key, path in ((folder_key, "bundle"), (large_key, "large.zip")):
        with zipfile.ZipFile(io.BytesIO(stored(cloud, f"{key}.zip"))) as archive:
            assert json.loads(archive.read(".asset.json")) == {"path": str(tmp_path / path)}
