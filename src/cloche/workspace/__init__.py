"""Make it last: transactions on project trees, by an overlay's upper layer and a redo journal."""
