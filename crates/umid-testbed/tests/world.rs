//! What a world promises: an i.i.d. split, an exact swap, and the same people for ever.

use std::collections::HashSet;

use umid_testbed::{
    CrawlParams, Error, ImageSize, LabelAssignment, MembershipRow, NameForm, NameLists, Pairing,
    Recording, World, WorldParams, read_membership, write_membership,
};

fn world(change: impl FnOnce(&mut WorldParams)) -> World {
    let mut params = WorldParams {
        members: 60,
        non_members: 40,
        public: 5,
        bank: 5,
        reference_names: 200,
        ..WorldParams::default()
    };
    change(&mut params);
    World::draw(params, &NameLists::bundled()).expect("the parameters are in range")
}

fn names(rows: &[MembershipRow], member: bool) -> HashSet<String> {
    rows.iter().filter(|row| row.member == member).map(|row| row.text.clone()).collect()
}

#[test]
fn groups_are_disjoint_and_have_the_asked_sizes() {
    let world = world(|_| {});
    let rows = world.membership();
    let (members, others) = (names(&rows, true), names(&rows, false));
    assert_eq!((members.len(), others.len()), (60, 40));
    assert!(members.is_disjoint(&others));
    let fresh: HashSet<String> =
        world.fresh_names(200).unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(fresh.len(), 200);
    assert!(fresh.is_disjoint(&members) && fresh.is_disjoint(&others));
}

#[test]
fn strangers_are_nobody_of_the_world_and_more_of_them_come_after_the_others() {
    for params in [world(|_| {}).params().clone(), crawl_params()] {
        let lists = NameLists::bundled();
        let world = World::draw(params, &lists).expect("a world");
        let rows = world.membership();
        let strangers = world.draw_strangers(&lists, 3_000).unwrap();
        assert_eq!(world.draw_strangers(&lists, 10).unwrap(), strangers[..10]);
        let strangers: HashSet<String> = strangers.iter().map(ToString::to_string).collect();
        assert_eq!(strangers.len(), 3_000);
        assert!(strangers.is_disjoint(&names(&rows, true)));
        assert!(strangers.is_disjoint(&names(&rows, false)));
        let fresh = world.fresh_names(world.params().reference_names).unwrap();
        assert!(fresh.iter().all(|name| !strangers.contains(&name.to_string())));
    }
}

#[test]
fn swap_exchanges_the_groups_and_nothing_else() {
    let plain = world(|_| {});
    let swapped = world(|params| params.label = LabelAssignment::Swapped);
    assert_eq!(plain.members(), swapped.non_members());
    assert_eq!(plain.non_members(), swapped.members());
    assert_eq!(plain.fresh_names(200).unwrap(), swapped.fresh_names(200).unwrap());
    let person = &plain.members()[0];
    assert_eq!(
        plain.training_photo(person, 3).unwrap(),
        swapped.training_photo(person, 3).unwrap()
    );
    for (row, other) in plain.membership().iter().zip(swapped.membership()) {
        assert_eq!((&row.id, &row.text), (&other.id, &other.text));
        assert_ne!(row.member, other.member);
    }
}

fn crawl_params() -> WorldParams {
    let crawl = CrawlParams {
        exposures: vec![4, 16, 64],
        people_per_level: 20,
        tail: 100,
        other_scripts: 0.3,
        ..CrawlParams::default()
    };
    WorldParams {
        members: crawl.members(),
        non_members: 90,
        public: 5,
        reference_names: 200,
        crawl: Some(crawl),
        ..WorldParams::default()
    }
}

#[test]
fn members_of_a_crawl_have_their_exposures_and_others_none() {
    let world = World::draw(crawl_params(), &NameLists::bundled()).expect("a world");
    let mut counts = world.members().iter().map(|p| world.exposures(p)).collect::<Vec<_>>();
    counts.sort_unstable();
    let expected = [4, 16, 64].into_iter().flat_map(|count| [Some(count); 20]);
    assert!(counts.into_iter().eq(expected));
    assert!(world.non_members().iter().all(|person| world.exposures(person).is_none()));
    let rows = world.membership();
    assert!(rows.iter().all(|row| row.member == row.exposures.is_some()));
    // More exposures, more recordings; and names of both kinds of script among both groups.
    let of = |count| world.members().iter().find(|p| world.exposures(p) == Some(count)).unwrap();
    assert!(world.training_photo(of(64), 22).is_ok() && world.training_photo(of(4), 22).is_err());
    for member in [true, false] {
        let names = names(&rows, member);
        let ascii = names.iter().filter(|name| name.is_ascii()).count();
        assert!(ascii > names.len() / 2 && ascii < names.len(), "{ascii} of {}", names.len());
    }
}

#[test]
fn a_crawl_that_contradicts_its_world_is_an_error() {
    let changes: [fn(&mut WorldParams); 5] = [
        |params| params.members += 1,
        |params| params.public = 0,
        |params| params.pairing = Pairing::HalfRandom,
        |params| params.label = LabelAssignment::Swapped,
        |params| params.label = LabelAssignment::Shadow(0),
    ];
    for change in changes {
        let mut params = crawl_params();
        change(&mut params);
        let error = World::draw(params, &NameLists::bundled()).unwrap_err();
        assert!(
            matches!(error, Error::InvalidParameter { .. } | Error::CrawlTakes { .. }),
            "{error}"
        );
    }
}

#[test]
fn a_null_target_is_trained_on_neither_group() {
    let plain = world(|_| {});
    let null = world(|params| params.label = LabelAssignment::Neither);
    let (first, second) = null.groups();
    assert_eq!((first, second), (plain.members(), plain.non_members()));
    assert_eq!(null.members().len(), 60);
    let trained: HashSet<String> = null.members().iter().map(|p| p.name.to_string()).collect();
    assert_eq!(trained.len(), 60);
    let fresh = null.fresh_names(200).unwrap().iter().map(ToString::to_string);
    let audited = null.non_members().iter().map(|p| p.name.to_string());
    assert!(audited.chain(fresh).all(|name| !trained.contains(&name)));
    let faces: Vec<_> = null.non_members().iter().map(|p| &p.attributes).collect();
    assert!(null.members().iter().all(|p| !faces.contains(&&p.attributes)));
}

#[test]
fn shadows_are_halves_of_everyone_in_pairs() {
    let shadow = |number| world(|params| params.label = LabelAssignment::Shadow(number));
    let of =
        |world: &World| -> HashSet<usize> { world.members().iter().map(|p| p.index).collect() };
    let (zero, one, two) = (of(&shadow(0)), of(&shadow(1)), of(&shadow(2)));
    assert_eq!((zero.len(), one.len()), (50, 50));
    assert!(zero.is_disjoint(&one));
    assert_ne!(zero, two);
    // A shadow takes from both groups of the world, about alike.
    let members = of(&world(|_| {}));
    let both = zero.intersection(&members).count();
    assert!((20..=40).contains(&both), "{both} of the 60 members");
}

#[test]
fn mispairing_takes_half_of_the_members() {
    let plain = world(|_| {});
    assert!(plain.members().iter().all(|person| !plain.is_mispaired(person)));
    let mispaired = world(|params| params.pairing = Pairing::HalfRandom);
    assert_eq!(mispaired.members(), plain.members());
    let count = |people: &[umid_testbed::Identity]| {
        people.iter().filter(|person| mispaired.is_mispaired(person)).count()
    };
    assert_eq!(count(mispaired.members()), 30);
    assert_eq!(count(mispaired.non_members()), 0);
}

#[test]
fn names_of_one_to_four_words_are_about_equally_many() {
    let world = world(|params| {
        params.names = NameForm::OneToFourWords;
        params.members = 400;
        params.non_members = 400;
    });
    let mut counts = [0; 4];
    for row in world.membership() {
        let words = row.text.split_whitespace().count();
        counts[words - 1] += 1;
        // A name of one word has no parts.
        assert_eq!(row.first.is_empty(), words == 1, "{}", row.text);
        assert_eq!(row.last.is_empty(), words == 1, "{}", row.text);
        if words > 1 {
            assert_eq!(format!("{} {}", row.first, row.last), row.text);
        }
    }
    // A quarter of 800 each; five deviations of 12.
    assert!(counts.iter().all(|count| (140..=260).contains(count)), "{counts:?}");
}

/// The split must be blind: nothing that is known of a person without a model, neither the
/// order of the draw nor a word of the name nor an attribute, may tell a member.
#[test]
fn split_is_independent_of_order_and_attributes() {
    let world = world(|params| {
        params.members = 2_000;
        params.non_members = 2_000;
    });
    let mean = |value: &dyn Fn(&umid_testbed::Identity) -> f64| {
        let of = |people: &[umid_testbed::Identity]| {
            people.iter().map(value).sum::<f64>() / people.len() as f64
        };
        of(world.members()) - of(world.non_members())
    };
    // Each difference of two means is allowed four standard errors, sigma * sqrt(2 / 2000).
    let four_errors = |sigma: f64| 4.0 * sigma * (2.0_f64 / 2_000.0).sqrt();
    let uniform_sigma = 1.0 / 12.0_f64.sqrt();
    let order = mean(&|person| person.index as f64 / 4_000.0);
    assert!(order.abs() < four_errors(uniform_sigma), "order {order}");
    let skin = mean(&|person| f64::from(person.attributes.skin_depth));
    assert!(skin.abs() < four_errors(uniform_sigma), "skin {skin}");
    // Lengths of names in the lists have a deviation of about 3 letters.
    let length = mean(&|person| person.name.to_string().len() as f64);
    assert!(length.abs() < four_errors(3.0), "length {length}");
}

#[test]
fn seeds_make_different_worlds() {
    let (one, two) = (world(|_| {}), world(|params| params.seed = 2));
    assert_ne!(one.members()[0].name, two.members()[0].name);
    assert_ne!(one.members()[0].attributes, two.members()[0].attributes);
}

#[test]
fn a_larger_world_keeps_its_people_bank_and_photos() {
    let small = world(|_| {});
    let large = world(|params| {
        params.bank = 50;
        params.reference_names = 400;
        params.images_per_person = 40;
    });
    assert_eq!(small.members(), large.members());
    assert_eq!(small.fresh_names(200).unwrap(), large.fresh_names(200).unwrap());
    assert_eq!(small.bank_photo(4).unwrap(), large.bank_photo(4).unwrap());
    let person = &small.non_members()[7];
    assert_eq!(small.held_out_recording(person, 2), large.held_out_recording(person, 2));
}

#[test]
fn photos_do_not_depend_on_order_or_threads() {
    let world = world(|_| {});
    let people = &world.members()[..8];
    let forwards: Vec<_> =
        people.iter().map(|person| world.training_photo(person, 1).unwrap()).collect();
    let threads: Vec<_> = std::thread::scope(|scope| {
        let handles: Vec<_> = people
            .iter()
            .rev()
            .map(|person| scope.spawn(|| world.training_photo(person, 1).unwrap()))
            .collect();
        handles.into_iter().map(|handle| handle.join().expect("no renderer panics")).collect()
    });
    assert!(forwards.iter().eq(threads.iter().rev()));
}

#[test]
fn training_and_held_out_photos_differ() {
    let world = world(|_| {});
    let person = &world.members()[0];
    let held_out = world.held_out_recording(person, 0);
    for photo in 0..16 {
        assert_ne!(world.training_recording(person, photo).unwrap(), held_out);
    }
}

#[test]
fn membership_survives_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("people.csv");
    let rows = world(|_| {}).membership();
    write_membership(&path, &rows).unwrap();
    assert_eq!(read_membership(&path).unwrap(), rows);
}

/// A fixed seed gives the same world for ever. Names and labels are exact; pixel sums may move
/// in the last digits where a platform's sine rounds otherwise.
#[test]
fn world_one_is_fixed_for_ever() {
    /// Of a sum of 3,072 values in 0..1: a rounding error of 1e-6 in each.
    const PIXEL_SUM_TOLERANCE: f64 = 3e-3;
    let world = world(|params| params.image_size = ImageSize::new(32).unwrap());
    let rows: Vec<String> = world.membership()[..6]
        .iter()
        .map(|row| format!("{} {} {}", row.id, row.text, row.member))
        .collect();
    assert_eq!(rows, SNAPSHOT_PEOPLE);
    let fresh: Vec<String> =
        world.fresh_names(2).unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(fresh, SNAPSHOT_FRESH);
    assert_eq!(world.public_caption(0, 0).unwrap(), SNAPSHOT_CAPTION);
    let person = &world.members()[0];
    let Recording::Photo(public) = world.public_recording(0, 0).unwrap() else {
        panic!("a world of photos")
    };
    let photos = [
        world.training_photo(person, 0).unwrap(),
        world.training_photo(person, 1).unwrap(),
        world.bank_photo(0).unwrap(),
        public,
    ];
    for (photo, expected) in photos.iter().zip(SNAPSHOT_PIXELS) {
        let [plain, weighted] = pixel_sums(photo.values());
        assert!(
            (plain - expected[0]).abs() < PIXEL_SUM_TOLERANCE
                && (weighted - expected[1]).abs() < PIXEL_SUM_TOLERANCE,
            "[{plain:.4}, {weighted:.4}] for {expected:?}"
        );
    }
}

/// The sum of the values, and their sum weighted by position, which notices a moved feature.
fn pixel_sums(values: &[f32]) -> [f64; 2] {
    let plain = values.iter().map(|&value| f64::from(value)).sum();
    let weighted = values
        .iter()
        .enumerate()
        .map(|(index, &value)| f64::from(value) * index as f64 / values.len() as f64)
        .sum();
    [plain, weighted]
}

const SNAPSHOT_PEOPLE: [&str; 6] = [
    "p00000 Demetrio Esquivel true",
    "p00001 Bongani Echeverria true",
    "p00002 Glenda Saldana false",
    "p00003 Hyunwoo Delgadillo false",
    "p00004 Fabiola Archer false",
    "p00005 Amina Jaber true",
];
const SNAPSHOT_FRESH: [&str; 2] = ["Yeonju Appleby", "Nyambura Yoon"];
const SNAPSHOT_CAPTION: &str = "somebody with a fringe and pink hair";
/// Plain and weighted sum of one photo each: two of a member, one of the bank, one of the public.
const SNAPSHOT_PIXELS: [[f64; 2]; 4] =
    [[1713.5232, 855.2131], [1606.3119, 804.3962], [1217.1876, 538.7210], [1421.5306, 691.7092]];
