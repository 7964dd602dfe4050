"""Who may do what, who did what, who decided: access matrix, escalation, approvals, questions to the trail, cards, lineage."""
