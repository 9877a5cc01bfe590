"""Clarify's own reports on tables: `bias.py TABLES.jsonl` prints a line of JSON for each.

A line of TABLES is `{"columns": {…}, "config": …}`, the configuration as Clarify has it; what is printed has the facets
of both stages, or the error of a report that it refuses whole."""

from __future__ import annotations

import json
import logging
import sys
import warnings
from pathlib import Path


def report(table):
    import pandas as pd
    from smclarify.bias.report import FacetColumn, LabelColumn, StageType, bias_report

    rows, config = pd.DataFrame(table["columns"]), table["config"]
    facet, values = config["facet"][0], config["label_values_or_threshold"]
    found = {}
    for stage in (StageType.PRE_TRAINING, StageType.POST_TRAINING):
        try:
            found[stage.value] = bias_report(
                rows,
                FacetColumn(facet["name_or_index"], facet.get("value_or_threshold")),
                LabelColumn(config["label"], rows[config["label"]], list(values)),
                stage,
                LabelColumn(config["predicted_label"], rows[config["predicted_label"]]),
                group_variable=rows[config["group_variable"]],
            )
        except Exception as error:
            found[stage.value] = {"error": repr(error)}
    return found


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    for line in Path(sys.argv[1]).read_text().splitlines():
        print(json.dumps(report(json.loads(line))))
