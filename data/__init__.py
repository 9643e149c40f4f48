"""Where observations come from: schema, environments, the embedded simulator, episodes and real incidents."""
