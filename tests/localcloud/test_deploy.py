import io
import json
import zipfile

import pytest
from botocore.exceptions import ClientError

from localcloud.deploy import LARGE_BYTES, DeploymentError, deploy

BUCKET = "cdk-hnb659fds-assets-${AWS::AccountId}-${AWS::Region}"


@pytest.fixture
def assembly(tmp_path):
    """Write an assembly as CDK does: a manifest, one asset manifest and one template per stack."""

    def write(stacks, *, after=None, files=None):
        artifacts = {}
        for name, template in stacks.items():
            body = template if "Resources" in template else {"Resources": template}
            (tmp_path / f"{name}.template.json").write_text(json.dumps(body))
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


OTHERS = "763104351884.dkr.ecr.eu-west-1.amazonaws.com/pytorch-training:2.3"
FAULTS = {
    "Size": ({"AllowedValues": ["s", 2]}, "m", "2", "Parameter 'Size' must be one of AllowedValues"),
    "Told": ({"MaxLength": 3, "ConstraintDescription": "short"}, "long", "all", "failed to satisfy constraint: short"),
    "Some": ({"Type": "CommaDelimitedList", "AllowedPattern": "[ab]"}, "c", "a, b", "'Some' must match pattern [ab]"),
    "Many": ({"Type": "List<Number>"}, "1,two", "1,2", "Parameter 'Many' must be a number"),
    "Volume": ({"Type": "Number", "MinValue": 1}, "0.5", "1", "Parameter 'Volume' must be a number not less than 1"),
    "Flag": ({"Type": "AWS::SSM::Parameter::Value<String>"}, "/none", "/flag", "Unable to fetch parameters [/none]"),
    "Absent": ({}, "", "x", "Parameters: [Absent] must have values"),
}
"""Of each parameter its declaration, a value that does not fit, one that does, and what is said of the first."""


def test_all_that_does_not_fit_is_named_before_anything_is_made(cloud, assembly, fresh):
    first, second = fresh("first"), fresh("second")
    declared = {key: {"Type": "String", **one} for key, (one, *_) in FAULTS.items()}
    image = {"Fn::Sub": [f"{OTHERS}-${{X}}", {"X": {"Ref": "Told"}}]}
    model = {"Type": "AWS::SageMaker::Model", "Properties": {"PrimaryContainer": {"Image": image}}}
    made = {"P": parameter(f"/{second}", {"Fn::Join": ["+", {"Ref": "Some"}]})}
    lacking = {"Parameters": declared, "Resources": {**made, "Model": model, "C": {"Type": "AWS::EKS::Cluster"}}}
    given = [(second, key, value) for key, (_, value, *_) in FAULTS.items() if value] + [(second, "Wrong", "1")]
    with pytest.raises(DeploymentError) as refused:
        deploy(cloud.endpoint_url, assembly({first: {"P": parameter("/flag")}, second: lacking}), parameters=given)
    said = [f"{second}: The local cloud does not cover: resource type AWS::EKS::Cluster (C)", f"{OTHERS}-long (Model)"]
    for sentence in [*said, "[Wrong] do not exist", *(sentence for *_, sentence in FAULTS.values())]:
        assert sentence in str(refused.value)
    assert first not in str(cloud.client("cloudformation").describe_stacks())
    body = {"Parameters": {"Told": {"Type": "String", "Default": "a"}}, "Resources": {"Model": model}}
    with pytest.raises(ClientError, match=rf"ValidationError.+{OTHERS}-a \(Model\)"):
        cloud.client("cloudformation").create_stack(StackName=second, TemplateBody=json.dumps(body))
    folder = assembly({first: {"P": parameter("/flag")}, second: {"Parameters": declared, "Resources": made}})
    given = [(second, key, value) for key, (_, _, value, _) in FAULTS.items()]
    deploy(cloud.endpoint_url, folder, parameters=given)
    assert cloud.client("ssm").get_parameter(Name=f"/{second}")["Parameter"]["Value"] == "a+b"


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
