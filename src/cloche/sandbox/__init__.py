"""How a step is confined: pure planning, and the contract that platforms fulfil."""
