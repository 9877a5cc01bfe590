"""How the function `registration` is deployed."""

from millrace.artefact.signing import SIGNATURE_FILE
from millrace.release.bom import BOM_FILE
from millrace.release.card import CARD_FILE
from millrace.release.provenance import PROVENANCE_FILE
from millrace.release.registry import PACKAGE_FILE
from millrace.settings.declaration import Declared, Grant
from millrace.settings.training import RegistrationSettings

WRITTEN = (BOM_FILE, CARD_FILE, PACKAGE_FILE, PROVENANCE_FILE, SIGNATURE_FILE)
DECLARED = Declared(
    room="training",
    settings=RegistrationSettings,
    timeout_s=300,
    memory_mb=1024,
    rights=lambda _: [
        # To make a model card under the key, beside GenerateDataKey: what CloudFormation's handler needs.
        # https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-sagemaker-modelcard.html
        Grant("key.describe"),
        Grant("key.lend"),
        Grant("buckets.ARTEFACTS.read", "runs"),
        *(Grant("buckets.file_of_each_run", file, may="PutObject") for file in WRITTEN),
        Grant("key.sign"),
        Grant("state_table.own_items", may="PutItem"),
        Grant("registry.group", may="CreateModelPackage"),
        Grant("registry.versions", may="CreateModelPackage DescribeModelPackage"),
        Grant("registry.cards", may="CreateModelCard AddTags"),
        Grant("registry.find_versions"),
        # The registry looks at the image of a version in the name of who registers it:
        # https://docs.aws.amazon.com/sagemaker/latest/dg/model-registry-version.html
        Grant("registry.repository", "inference", may="BatchGetImage DescribeImages"),
        Grant("step_functions.askers", "train", "retrain"),
    ],
)
