"""Amazon Kinesis Data Streams: streams that feed functions."""
