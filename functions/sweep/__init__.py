"""Makes up for lost events each hour: frees what no running execution holds, deletes leftovers, tells of failures."""
