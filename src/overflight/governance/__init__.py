"""Who may do what, who did what, who decided: matrix, escalation, approvals, trail, lineage and cards."""
