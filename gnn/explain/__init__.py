"""Why a service is suspected: metric changes, attribution, sentences."""
