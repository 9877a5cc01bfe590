"""What a workload costs, and what that brings: estimates at list prices, never bills."""
