"""SageMaker's endpoints: processes that answer, fleets that change, scaling."""
