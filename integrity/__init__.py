"""Take a database table from duplicated to constrained, safely, while production keeps writing."""
